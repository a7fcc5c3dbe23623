"""Our service: SDK, gateway, Triton, engine; one text a call."""

import asyncio
from collections.abc import Iterator

from seqway import AsyncClient

from tests.benchmarks.systems.system import Answer, WarmedUp


class Gateway(WarmedUp):
    """Unary calls or streams, over one connection."""

    def __init__(self, address: str, model: str, *, stream: bool) -> None:
        self.name = "Seqway gateway, streams" if stream else "Seqway gateway"
        self._address, self._model, self._stream = address, model, stream

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        return asyncio.run(self._run(texts, in_flight, max_new_tokens))

    async def _run(self, texts: list[str], in_flight: int, limit: int) -> list[Answer]:
        left = iter(enumerate(texts))
        answers: dict[int, Answer] = {}
        async with AsyncClient(self._address) as client:
            callers = (self._caller(client, left, answers, limit) for _ in range(in_flight))
            await asyncio.gather(*callers)
        return [answers[index] for index in range(len(texts))]

    async def _caller(
        self,
        client: AsyncClient,
        left: Iterator[tuple[int, str]],
        answers: dict[int, Answer],
        limit: int,
    ) -> None:
        call = self._streamed if self._stream else self._unary
        for index, text in left:
            answers[index] = await call(client, text, limit)

    async def _unary(self, client: AsyncClient, text: str, limit: int) -> Answer:
        result = await client.translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=limit
        )
        (translation,) = result.translations
        return Answer(translation.text, translation.token_counts.output)

    async def _streamed(self, client: AsyncClient, text: str, limit: int) -> Answer:
        stream = client.stream_translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=limit
        )
        pieces: list[str] = []
        tokens = 0
        async for event in stream:
            pieces.append(getattr(event, "text", ""))
            counts = getattr(event, "token_counts", None)
            tokens = counts.output if counts else tokens
        return Answer("".join(pieces), tokens)
