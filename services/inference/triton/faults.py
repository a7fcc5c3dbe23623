"""What the messages of Triton and of gRPC mean, which tell faults apart by their text only."""

import logging

from services.inference.errors import (
    ModelDeadError,
    ModelFailedError,
    ModelNotReadyError,
    ServiceError,
)

logger = logging.getLogger(__name__)

_NOT_READY_SIGNS = ("unknown model", "not ready", "is not found", "unloaded")
_DEAD_SIGN = "not healthy"


def error_of(message: str) -> ServiceError:
    """The error that a message of Triton's stands for; the message itself goes to the log."""
    logger.warning("Triton answered with an error: %s", message)
    if _DEAD_SIGN in message.lower():
        return ModelDeadError("the model has stopped")
    if any(sign in message.lower() for sign in _NOT_READY_SIGNS):
        return ModelNotReadyError("the model does not answer now")
    return ModelFailedError("the model failed on the request")


def was_reached(details: str) -> bool:
    """Whether a call that failed as unavailable may have reached Triton, by gRPC's message."""
    return "connect" not in details
