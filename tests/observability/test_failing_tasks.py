"""What Celery gets to log of a task that fails."""

import pytest
from structlog.testing import capture_logs

from workers.telemetry import TaskFailedError, tell_failures

SECRET = "the text of a user"


@tell_failures
def task(text: str, *, fails: bool = False) -> str:
    if fails:
        raise ValueError(text)
    return text


def test_the_words_of_a_failure_do_not_reach_celery() -> None:
    with capture_logs() as lines, pytest.raises(TaskFailedError) as caught:
        task(SECRET, fails=True)
    assert str(caught.value) == "ValueError"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert [line["event"] for line in lines] == ["a task failed unexpectedly"]


class PanicException(BaseException):
    """As Rust extensions raise it: Celery would end its process for it."""


@pytest.mark.parametrize("error", [PanicException, BaseExceptionGroup])
def test_what_is_no_exception_fails_a_task_too(error: type[BaseException]) -> None:
    @tell_failures
    def panic() -> None:
        raise error(SECRET, [PanicException()]) if error is BaseExceptionGroup else error(SECRET)

    with capture_logs() as lines, pytest.raises(TaskFailedError) as caught:
        panic()
    assert SECRET not in str(caught.value)
    assert len(lines) == 1


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_ends_it(ending: type[BaseException]) -> None:
    @tell_failures
    def end() -> None:
        raise ending

    with capture_logs() as lines, pytest.raises(ending):
        end()
    assert not lines


def test_a_task_that_goes_well_is_as_it_was() -> None:
    assert task(SECRET) == SECRET
    assert task.__name__ == "task"
