"""Logging, configured once at the entry."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Literal

import structlog
from opentelemetry import trace
from pydantic import Field

from services.foundation.environment import EnvironmentSettings

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class LogSettings(EnvironmentSettings):
    """What is logged, and how."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least level to log"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="how to write logs")


def configure(settings: LogSettings) -> None:
    """One line an event on stderr, with the ids of its context; ours and the libraries' alike."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_span,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(_exceptions(settings)),
    ]
    renderer = _renderer(settings)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def _renderer(settings: LogSettings) -> structlog.typing.Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _exceptions(settings: LogSettings) -> structlog.typing.ExceptionTransformer:
    """With their messages, which may quote a text, only at level debug."""
    return _with_messages if settings.log_level == "debug" else _without_messages


def _add_span(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The trace and the span that a line belongs to."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _with_messages(exc_info: _ExcInfo) -> str:
    """An exception as Python prints it."""
    return "".join(traceback.format_exception(*exc_info))


def _without_messages(exc_info: _ExcInfo) -> str:
    """Frames and types of an exception and its causes, the first one first."""
    parts: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(frames + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nfollowed by\n".join(reversed(parts))
