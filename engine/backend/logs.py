"""What a model's process logs: a JSON object a line on stderr, which is Triton's log.

An exception is told without its words, which may quote a text, unless SEQWAY_LOG_LEVEL is "debug".
"""

import json
import logging
import os
import traceback
from datetime import UTC, datetime


def configure(model: str) -> None:
    """For all loggers of the process, from warnings on, and what says which session runs it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(model, words=os.environ.get("SEQWAY_LOG_LEVEL") == "debug"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("engine.runtime.sessions.placement").setLevel(logging.INFO)


class JsonLines(logging.Formatter):
    """Lines with the model's name; `words` adds those of exceptions."""

    def __init__(self, model: str, *, words: bool) -> None:
        super().__init__()
        self._model = model
        self._words = words

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            "model": self._model,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = self._told(record.exc_info[1])
        return json.dumps(line)

    def _told(self, error: BaseException) -> str:
        """The frames and the kind of an exception."""
        if self._words:
            return "".join(traceback.format_exception(error))
        return "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
