"""Runs a list of texts through an engine and waits: what reports, tests and benchmarks need."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.events import End, Event
from engine.contract.options import Options
from engine.runtime.engine import Engine
from engine.runtime.request import Request


class EngineError(RuntimeError):
    """A text could not be run."""


@dataclass(frozen=True)
class TextAnswer:
    """The whole text of an answer, and its closing event."""

    text: str
    end: End


def run_texts(
    engine: Engine, texts: Sequence[str], options: Options, in_flight: int = 64
) -> list[TextAnswer]:
    """Answers all `texts`, each as a request of its own, with at most `in_flight` running at once.

    Raises:
        EngineError: a text was refused or failed.

    """
    answers: dict[int, TextAnswer] = {}
    inbox: queue.SimpleQueue[tuple[int, list[Event]]] = queue.SimpleQueue()
    sent = 0
    while len(answers) < len(texts):
        while sent < len(texts) and sent - len(answers) < in_flight:
            _submit(engine, sent, texts[sent], options, inbox)
            sent += 1
        index, events = inbox.get()
        answers[index] = _answer(texts[index], events)
    return [answers[index] for index in range(len(texts))]


def _submit(
    engine: Engine,
    index: int,
    text: str,
    options: Options,
    inbox: queue.SimpleQueue[tuple[int, list[Event]]],
) -> None:
    collected: list[Event] = []

    def sink(events: list[Event], last: bool) -> None:
        collected.extend(events)
        if last:
            inbox.put((index, collected))

    engine.submit(Request(f"batch-{index}", [text], options, sink))


def _answer(text: str, events: list[Event]) -> TextAnswer:
    end = events[-1]
    if not isinstance(end, End) or end.message:
        raise EngineError(f"{text[:60]!r} could not be run: {end}")
    return TextAnswer("".join(getattr(event, "text", "") for event in events), end)
