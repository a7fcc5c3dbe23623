"""A variant's weights on a device, read from the files of native code.

A product is computed in the type that it is stored in, since the export keeps in FP32 what 16 bits
do not hold; INT8 products are computed in the variant's computing type.  Padding stays only within
heads and feed-forward blocks, where zeros change no sum.
"""

from engine.runtime.sessions.torch.weights.encoder import load_reader
from engine.runtime.sessions.torch.weights.tensors import (
    computing_type,
    tensor_of,
    weight_bytes,
)
from engine.runtime.sessions.torch.weights.transformer import load_model

__all__ = ["computing_type", "load_model", "load_reader", "tensor_of", "weight_bytes"]
