"""The end of a model's process that has lost its GPU: another one may be able to use it.

To Triton the model is then dead, and whoever watches Triton has it loaded again, as behind any
process that was killed (docs/operations.md).
"""

import logging
import os
from typing import NoReturn

from engine.runtime.sessions.session import DeviceLostError

logger = logging.getLogger(__name__)

EXIT_CODE = 75
"""EX_TEMPFAIL: it may go well when it is tried again."""


def end_process(error: DeviceLostError) -> NoReturn:
    """Ends without waiting for anything: what would be waited for may be the GPU."""
    logger.critical("the model's process ends, to be started anew: %s", error)
    os._exit(EXIT_CODE)
