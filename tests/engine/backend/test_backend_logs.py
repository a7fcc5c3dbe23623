import json
import logging

import pytest

from engine.backend.logs import JsonLines, configure

SECRET = "the text of a user"


def logged(*, words: bool) -> str:
    """The line of a failure."""
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord(
            "engine.runtime.batching.lane",
            logging.ERROR,
            "lane.py",
            1,
            "a step %s",
            ("failed",),
            info,
        )
    return JsonLines("en-fr_int8", words=words).format(record)


def test_a_failure_is_a_line_with_the_model_and_without_words() -> None:
    line = json.loads(logged(words=False))
    assert (line["event"], line["level"], line["model"]) == ("a step failed", "error", "en-fr_int8")
    assert line["exception"].endswith("ValueError")
    assert "test_backend_logs" in line["exception"]
    # The source of a frame is code; the value that it raised is not there.
    assert SECRET not in line["exception"]


@pytest.mark.parametrize("words", [False, True])
def test_a_line_is_one_line(words: bool) -> None:
    text = logged(words=words)
    assert "\n" not in text
    assert (SECRET in text) is words


def test_what_runs_a_model_is_logged_and_little_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure("en-fr_fp16")
    logging.getLogger("engine.runtime.sessions.placement").info("runs with PyTorch on GPU 0")
    logging.getLogger("engine.runtime.batching.lane").info("a step")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "runs with PyTorch on GPU 0"
