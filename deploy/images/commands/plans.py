"""`seqway-plans build | wait`: TensorRT plans for all variants of a model repository.

`build` builds those that are lacking and leaves the others as they are.  `wait` ends when there is
a variant, and tells which ones run with TensorRT and which, without whole plans, with PyTorch.
COMPUTE_CAPABILITY (such as 89) and TENSORRT_VERSION say what for.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from deploy.images.commands.plan_state import Target, lacking, variants

logger = logging.getLogger("seqway-plans")

_POLL_SECONDS = 10.0


def main() -> int:
    """0 when it has waited, or no plan is lacking; 1 when some are; 2 when not told what for."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="seqway-plans", description=__doc__)
    parser.add_argument("action", choices=["build", "wait"])
    parser.add_argument("--models", type=Path, required=True, help="the model repository")
    given = parser.parse_args()
    try:
        target = Target.from_environment(os.environ)
    except ValueError as error:
        return _complain(f"{error}.")
    if target is None:
        return _complain("set COMPUTE_CAPABILITY and TENSORRT_VERSION.")
    if given.action == "wait":
        wait(given.models, target)
        return 0
    return build(given.models, target)


def build(models: Path, target: Target) -> int:
    """Has `seqway-models` build what is lacking, one variant at a time; the last failure's code."""
    code = 0
    for name, reason in lacking(models, target).items():
        logger.info("%s %s: building", name, reason)
        command = ["seqway-models", "build", name, "--model-repository", str(models)]
        command += ["--compute-capability", target.compute_capability]
        code = subprocess.run(command, check=False).returncode or code
    left = lacking(models, target)
    for name, reason in left.items():
        logger.error("%s %s", name, reason)
    return code or int(bool(left))


def wait(models: Path, target: Target, poll: float = _POLL_SECONDS) -> None:
    """Returns when there is a variant; tells what runs each."""
    if not variants(models):
        logger.info("waiting for a model in %s", models)
    while not (names := variants(models)):
        time.sleep(poll)
    reasons = lacking(models, target)
    for name in names:
        if name in reasons:
            logger.info("%s %s: PyTorch runs it", name, reasons[name])
        else:
            logger.info("%s has plans: TensorRT runs it", name)


def _complain(sentence: str) -> int:
    print(f"seqway-plans: {sentence}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
