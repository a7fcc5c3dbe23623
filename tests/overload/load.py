"""Callers of the real gateway: some that wait for their answers, or as many as come."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from seqway import AsyncClient, DeadlineError, OverloadedError, SeqwayError

_DATA = Path(__file__).parents[2] / "examples" / "data" / "en-fr.test.jsonl"
_SEED = 7
_CONNECTIONS = 16
_CHARACTERS = range(30, 160)
_SENTENCES_OF_LONG = range(10, 41)


def texts() -> list[str]:
    """Descriptions of packages, in an order that is always the same."""
    lines = _DATA.read_text(encoding="utf-8").splitlines()
    known = [json.loads(line)["source"] for line in lines]
    chosen = [text for text in known if len(text) in _CHARACTERS]
    random.Random(_SEED).shuffle(chosen)
    return chosen


def long_texts() -> list[str]:
    """Documents of 10 to 40 such descriptions, always the same."""
    lengths = random.Random(_SEED)
    short = texts()
    return [
        "\n".join(lengths.choices(short, k=lengths.choice(_SENTENCES_OF_LONG))) for _ in range(100)
    ]


@dataclass
class Outcome:
    """What became of calls: how each ended, and when the good ones did."""

    began: float = field(default_factory=time.monotonic)
    ends: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    without_hint: int = 0
    answered_long: int = 0
    late_long: int = 0

    def goodput(self, bucket: float) -> list[float]:
        """Answers a second, in each full stretch of so many seconds."""
        counts = Counter(int(at // bucket) for at in self.answered)
        last = int((time.monotonic() - self.began) // bucket)
        return [counts[each] / bucket for each in range(last)]


@asynccontextmanager
async def several_clients(address: str) -> AsyncIterator[list[AsyncClient]]:
    """Clients with a connection each, which tell each refusal and do not ask again."""
    async with AsyncExitStack() as stack:
        made = [AsyncClient(address, retry_overloaded=False) for _ in range(_CONNECTIONS)]
        yield [await stack.enter_async_context(each) for each in made]


class Callers:
    """Calls of a sentence or a few, or of a document; half of them streams, all with a deadline.

    `long_share` of all calls carry a document.
    """

    def __init__(
        self,
        clients: Sequence[AsyncClient],
        deadline: float,
        model: str,
        long_share: float = 0.0,
    ) -> None:
        self._clients = clients
        self._deadline = deadline
        self._model = model
        self._texts = texts()
        self._long_texts = long_texts()
        self._long_share = long_share
        self._choice = random.Random(_SEED)

    async def closed(self, count: int, seconds: float) -> Outcome:
        """So many callers who call again when they have their answer."""
        outcome = Outcome()
        until = outcome.began + seconds

        async def caller(number: int) -> None:
            while time.monotonic() < until:
                await self._call(number, outcome)
                number += count

        await asyncio.gather(*(caller(number) for number in range(count)))
        return outcome

    async def open(self, rate: float, seconds: float) -> Outcome:
        """Calls that come by chance (a Poisson process), whether others are answered or not."""
        outcome = Outcome()
        arrivals = random.Random(_SEED)
        running: set[asyncio.Task[None]] = set()
        due, number = outcome.began, 0
        while due < outcome.began + seconds:
            due += arrivals.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._call(number, outcome))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.gather(*running)
        return outcome

    async def _call(self, number: int, outcome: Outcome) -> None:
        began = time.monotonic()
        is_long = self._choice.random() < self._long_share
        known = self._long_texts if is_long else self._texts
        text = known[number % len(known)]
        try:
            client = self._clients[number // 2 % len(self._clients)]
            await self._translate(client, text, streamed=bool(number % 2))
        except OverloadedError as error:
            outcome.ends["refused"] += 1
            outcome.without_hint += error.retry_after is None
        except DeadlineError:
            outcome.ends["too late"] += 1
            outcome.late_long += is_long
        except SeqwayError as error:
            outcome.ends[error.reason] += 1
        else:
            now = time.monotonic()
            outcome.ends["answered"] += 1
            outcome.answered.append(now - outcome.began)
            outcome.seconds.append(now - began)
            outcome.answered_long += is_long

    async def _translate(self, client: AsyncClient, text: str, *, streamed: bool) -> None:
        if streamed:
            stream = client.stream_translate(
                text, source="en", target="fr", model=self._model, timeout=self._deadline
            )
            async for _ in stream:
                pass
        else:
            await client.translate(
                text, source="en", target="fr", model=self._model, timeout=self._deadline
            )


def resident(pids: Sequence[int]) -> dict[int, int]:
    """Bytes in memory of processes with all their children."""
    sizes = {}
    for pid in pids:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        sizes[pid] = sum(each.memory_info().rss for each in family)
    return sizes
