"""Whether a checkpoint can run on the devices that `--parallel` asks for."""

from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.parallel.division import DividedSizes
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
    sizes = DividedSizes.of(checkpoint.config, shortlist=checkpoint.shortlist is not None)
    if problem := sizes.problem(layout.tensor):
        raise CheckpointError(f"--parallel {layout}: {problem}.")
