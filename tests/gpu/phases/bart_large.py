"""The load that TensorRT-LLM publishes for BART-large-CNN, with random weights of its shape.

On an H100, BF16, greedy, 260 to 440 tokens in, at most 128 out (its documentation, "Encoder-Decoder
Model Support").  Here answers have 128 tokens, and their time is that of encoder and decoder.
"""

import random
import time
from statistics import median

import torch

from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.answers import decode
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.shapes import manifest_of, random_model

PUBLISHED = {
    "PyTorch backend": {32: 10_662, 64: 16_209, 128: 23_518},
    "engine (removed)": {32: 12_611, 64: 22_007, 128: 31_544},
}
"""TensorRT-LLM's tokens a second by batch."""
_TIMES = 3


def bart_large(bench: Bench, part: Part) -> None:
    """Tokens a second of whole batches, and what part of the published ones that is."""
    size, place = bench.size, TorchDevice(bench.index)
    shape, limit = size.large, size.large_tokens
    with place.use():
        model = random_model(shape, place.device, torch.bfloat16, size.longest)
    place.wait()
    manifest = manifest_of(shape, size.longest)
    session = TorchSession.over(model, manifest, max(size.batches), place, 0)
    chance, longest = random.Random(4), min(440, size.longest)
    for batch in size.batches:
        lengths = [chance.randint(longest * 260 // 440, longest) for _ in range(batch)]
        sources = [[chance.randrange(2, shape.vocabulary) for _ in range(one)] for one in lengths]
        taken = []
        for _ in range(1 + _TIMES):
            begin = time.perf_counter()
            trails = decode(session, sources, [limit] * batch, at_once=max(size.batches))
            taken.append(time.perf_counter() - begin)
            if {len(trail.tokens) for trail in trails} != {limit}:
                raise RuntimeError("answers have another length")
        made = batch * limit / median(taken[1:])
        found = part[str(batch)] = {"tokens_per_second": made, "input_tokens": sum(lengths)}
        for name, published in PUBLISHED.items():
            if bench.is_cuda:
                found[f"TensorRT-LLM, {name}"] = published[batch]
                found[f"share of {name}"] = made / published[batch]
        part.save()
