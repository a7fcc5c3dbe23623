import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry import trace

from services.foundation import logs
from services.foundation.logs import LogSettings
from services.inference.tracing import context_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "the text of a user"


@pytest.fixture
def configured() -> Iterator[None]:
    """Puts logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def log_a_failure(library: bool) -> None:
    logger = logging.getLogger("a library") if library else structlog.get_logger("ours")
    try:
        fail()
    except RuntimeError:
        logger.exception("it failed")


@pytest.mark.parametrize("library", [False, True])
def test_an_exception_is_told_without_its_words(
    configured: None, capsys: pytest.CaptureFixture[str], library: bool
) -> None:
    logs.configure(LogSettings())
    log_a_failure(library)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it failed", "error")
    assert "in fail" in line["exception"]
    assert line["exception"].index("ValueError") < line["exception"].rindex("RuntimeError")
    assert SECRET not in str(line)


@pytest.mark.parametrize("library", [False, True])
def test_who_asks_for_debugging_gets_the_words(
    configured: None, capsys: pytest.CaptureFixture[str], library: bool
) -> None:
    logs.configure(LogSettings(log_level="debug"))
    log_a_failure(library)
    assert SECRET in json.loads(capsys.readouterr().err)["exception"]


def test_a_line_carries_the_ids_of_its_context(
    configured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogSettings())
    span = trace.get_current_span(context_of(f"00-{TRACE}-{SPAN}-01"))
    with structlog.contextvars.bound_contextvars(job_id="j"), trace.use_span(span):
        structlog.get_logger("ours").info("a chunk is done")
        logging.getLogger("a library").warning("a warning")
    structlog.get_logger("ours").info("apart")
    ours, theirs, apart = map(json.loads, capsys.readouterr().err.splitlines())
    for line in (ours, theirs):
        assert (line["job_id"], line["trace_id"], line["span_id"]) == ("j", TRACE, SPAN)
    assert "trace_id" not in apart
