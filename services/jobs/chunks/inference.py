"""What answers the texts of chunks, as those who run chunks see it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from services.jobs.store.items import Item
from services.jobs.store.results import Outcome
from services.jobs.tasks import Task


class Cancelled(Exception):  # noqa: N818
    """Work was stopped from outside."""


class Inference(Protocol):
    """Answers texts; all its methods block."""

    def is_ready(self, task: Task, *, afresh: bool = False) -> bool:
        """Whether a model for the task answers: when it was last asked, or `afresh`, now."""
        ...

    def perform(
        self,
        task: Task,
        items: Sequence[Item],
        seconds: float,
        on_halt: Callable[[Callable[[], object] | None], None],
    ) -> Iterator[tuple[int, Outcome]]:
        """The outcome of each item, with its index, as soon as it is ready.

        Raises Cancelled when what it gave to `on_halt` was called, a ServiceError when Triton
        fails.
        """
        ...
