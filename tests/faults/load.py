"""Callers that never rest, and what became of each of their calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from threading import Event

from seqway import Client, OverloadedError, SeqwayError, UnavailableError

from tests.faults.stack import texts

_SENTENCES = 12
_TEXTS = 8
_TIMEOUT = 90.0
_PAUSE = 0.05

Ask = Callable[[Client, str], Iterator[str]]


@dataclass(frozen=True)
class Outcome:
    """One call: what it has told, and how it failed if it did."""

    asked: str
    pieces: tuple[str, ...]
    error: SeqwayError | None
    began: float
    ended: float

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def refused(self) -> bool:
        """Nothing had come of it, and its caller was told to come again."""
        may_come_again = isinstance(self.error, UnavailableError | OverloadedError)
        return may_come_again and not self.pieces


@dataclass
class Load:
    """Callers with a connection each: some want whole answers, some watch them being made."""

    address: str
    right: dict[str, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    _stopped: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        with Client(self.address, timeout=_TIMEOUT) as client:
            self.right = {text: "".join(_whole(client, text)) for text in _texts()}

    @contextmanager
    def running(self, unary: int = 4, streams: int = 4) -> Iterator[None]:
        """Calls until the block ends, and until those under way have ended."""
        asks = [*[_whole] * unary, *[_in_pieces] * streams]
        with ThreadPoolExecutor(len(asks)) as pool:
            callers = [pool.submit(self._call, ask, n) for n, ask in enumerate(asks)]
            try:
                yield
            finally:
                self._stopped.set()
            _raise_first(callers)

    def failures(self) -> list[Outcome]:
        return [one for one in list(self.outcomes) if one.error is not None]

    def check(self) -> None:
        """Each call was answered as on a quiet day, or was refused before anything came of it."""
        assert self.outcomes
        broken = [one for one in self.failures() if not one.refused]
        assert broken == []
        answered = [one for one in self.outcomes if one.error is None]
        assert [one for one in answered if one.text != self.right[one.asked]] == []

    def _call(self, ask: Ask, first: int) -> None:
        asked = _texts()
        with Client(self.address, timeout=_TIMEOUT) as client:
            for n in count(first):
                if self._stopped.wait(_PAUSE):
                    return
                self.outcomes.append(_outcome(client, ask, asked[n % len(asked)]))


@contextmanager
def asking_without_pause(address: str, callers: int = 8) -> Iterator[None]:
    """Calls as short as there are, one behind the other; raises when one of them fails."""
    stopped = Event()

    def ask() -> None:
        with Client(address, timeout=_TIMEOUT) as client:
            while not stopped.is_set():
                assert client.list_models()

    with ThreadPoolExecutor(callers) as pool:
        asking = [pool.submit(ask) for _ in range(callers)]
        try:
            yield
        finally:
            stopped.set()
        _raise_first(asking)


def _outcome(client: Client, ask: Ask, text: str) -> Outcome:
    began = time.monotonic()
    pieces: list[str] = []
    error = None
    try:
        pieces.extend(ask(client, text))
    except SeqwayError as failure:
        error = failure
    return Outcome(text, tuple(pieces), error, began, time.monotonic())


def _whole(client: Client, text: str) -> Iterator[str]:
    yield client.translate(text, source="en", target="fr").text


def _in_pieces(client: Client, text: str) -> Iterator[str]:
    with client.stream_translate(text, source="en", target="fr") as stream:
        yield from stream.text()


def _texts() -> list[str]:
    """Texts of several sentences, so that an answer takes some time."""
    sentences = iter(texts(_SENTENCES * _TEXTS, seed=7))
    return [". ".join(islice(sentences, _SENTENCES)) + "." for _ in range(_TEXTS)]


def _raise_first(callers: Sequence[Future[None]]) -> None:
    for caller in callers:
        caller.result()
