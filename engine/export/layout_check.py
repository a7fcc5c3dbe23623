"""Whether a checkpoint can run on the devices that `--parallel` asks for."""

from engine.model.checkpoint import Checkpoint, CheckpointError
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
    if checkpoint.is_recurrent:
        raise CheckpointError(
            f"a recurrent decoder can't be split, as in --parallel {layout}: give dp alone."
        )
    config = checkpoint.config
    sizes = {
        "attention heads of the encoder": config.encoder_heads,
        "attention heads of the decoder": config.decoder_heads,
        "feed-forward columns of the encoder": config.encoder_ffn,
        "feed-forward columns of the decoder": config.decoder_ffn,
    }
    for name, size in sizes.items():
        if size % layout.tensor:
            raise CheckpointError(
                f"tp={layout.tensor} of --parallel {layout} does not divide the {size} {name}: "
                "give a tp that does."
            )
