"""Whether a checkpoint can run on the devices that `--parallel` asks for."""

from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.native.layout import padded
from engine.parallel.layout import Layout


def check_layout(layout: Layout, checkpoint: Checkpoint, *, plans: bool) -> None:
    """Checks it before anything is exported; `plans` says that TensorRT plans are wanted.

    Raises:
        CheckpointError: the checkpoint can't be run so; the message says why.

    """
    if layout.ranks > 1 and checkpoint.kind == "encoder":
        raise CheckpointError(
            f"--parallel {layout} is for models that generate text: leave it out, and Triton makes "
            "an instance on each GPU."
        )
    if layout.group == 1:
        return
    if plans:
        raise CheckpointError(
            f"no TensorRT plan is built for parts of a model, as in --parallel {layout}: leave "
            "--tensorrt out, or give dp alone."
        )
    whole = {
        "a recurrent decoder": checkpoint.is_recurrent,
        "a lexical shortlist": checkpoint.shortlist is not None,
    }
    for name, is_there in whole.items():
        if is_there and layout.tensor > 1:
            raise CheckpointError(
                f"a model with {name} is whole on each device, unlike in --parallel {layout}: "
                "leave tp out."
            )
    config = checkpoint.config
    sizes = {
        "attention heads of the encoder": config.encoder_heads,
        "attention heads of the decoder": config.decoder_heads,
        "feed-forward units of the encoder": padded(config.encoder_ffn),
        "feed-forward units of the decoder": padded(config.decoder_ffn),
    }
    for name, size in sizes.items():
        if size % layout.tensor:
            raise CheckpointError(
                f"tp={layout.tensor} of --parallel {layout} does not divide the {size} {name}: "
                "give a tp that does."
            )
