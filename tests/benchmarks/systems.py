"""What is timed: each system translates texts, so many in flight, and tells its tokens a second."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Protocol

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from seqway import AsyncClient
from tokenizers import Tokenizer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PegasusConfig

from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine

THREADS = 2


class System(Protocol):
    """One way to translate."""

    name: str

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        """Translates all texts; returns the number of tokens made, ends of sequence included."""


def tokens_per_second(
    system: System, texts: list[str], in_flight: int, max_new_tokens: int
) -> float:
    """One timed run."""
    began = time.perf_counter()
    tokens = system.run(texts, in_flight, max_new_tokens)
    return tokens / (time.perf_counter() - began)


def with_beams(name: str, beams: int) -> str:
    """The name of a system that searches with so many beams."""
    return name if beams == 1 else f"{name}, {beams} beams"


class InProcess:
    """Our runtime in this process, whose engine has been started."""

    def __init__(self, engine: Engine, beams: int = 1) -> None:
        self.name = with_beams("seqway in-process", beams)
        self._engine = engine
        self._beams = beams
        self._host: dict[int, list[float]] = {}

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        """See `System`."""
        options = Options(stream=False, max_new_tokens=max_new_tokens, num_beams=self._beams)
        before = self._engine.gauges
        answers = run_texts(self._engine, texts, options, in_flight)
        after = self._engine.gauges
        spent = after.host_seconds - before.host_seconds
        self._host.setdefault(in_flight, []).append(spent / (after.calls - before.calls))
        return sum(answer.end.output_tokens for answer in answers)

    def host_microseconds(self) -> dict[int, float]:
        """A call's processor time in Python, by how many texts were in flight: medians."""
        return {count: 1e6 * statistics.median(spent) for count, spent in self._host.items()}


class Gateway:
    """SDK -> gateway -> Triton -> engine; one text a call, by unary calls or by streams."""

    def __init__(self, address: str, model: str, *, stream: bool) -> None:
        self.name = "seqway gateway, streams" if stream else "seqway gateway"
        self._address, self._model, self._stream = address, model, stream

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        """See `System`."""
        return asyncio.run(self._run(texts, in_flight, max_new_tokens))

    async def _run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        left = iter(texts)
        async with AsyncClient(self._address) as client:

            async def caller() -> int:
                tokens = 0
                for text in left:
                    call = self._streamed if self._stream else self._unary
                    tokens += await call(client, text, max_new_tokens)
                return tokens

            return sum(await asyncio.gather(*(caller() for _ in range(in_flight))))

    async def _unary(self, client: AsyncClient, text: str, limit: int) -> int:
        result = await client.translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=limit
        )
        return result.translations[0].token_counts.output

    async def _streamed(self, client: AsyncClient, text: str, limit: int) -> int:
        stream = client.stream_translate(
            text, source="en", target="fr", model=self._model, max_new_tokens=limit
        )
        tokens = 0
        async for event in stream:
            counts = getattr(event, "token_counts", None)
            tokens = counts.output if counts else tokens
        return tokens


class CTranslate2:
    """CTranslate2 INT8 in batches of what is in flight (it has no continuous batching)."""

    def __init__(
        self, model: Path, checkpoint: Path, inter: int, intra: int, beams: int = 1
    ) -> None:
        self.name = with_beams(f"CTranslate2 int8, inter {inter} x intra {intra}", beams)
        self._inter = inter
        self._beams = beams
        self._translator = ctranslate2.Translator(
            str(model), compute_type="int8", inter_threads=inter, intra_threads=intra
        )
        self._tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        """See `System`."""
        sources = [encoding.tokens for encoding in self._tokenizer.encode_batch(texts)]
        tokens = 0
        for start in range(0, len(sources), in_flight):
            results = self._translator.translate_batch(
                sources[start : start + in_flight],
                beam_size=self._beams,
                max_decoding_length=max_new_tokens,
                max_batch_size=max(1, in_flight // self._inter),
                return_end_token=True,
            )
            tokens += sum(len(result.hypotheses[0]) for result in results)
        return tokens


class Transformers:
    """`transformers` generate in FP32, greedy, in batches of what is in flight."""

    name = "transformers fp32"

    def __init__(self, checkpoint: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self._model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()

    @torch.no_grad()
    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> int:
        """See `System`."""
        tokens = 0
        for start in range(0, len(texts), in_flight):
            batch = self._tokenizer(
                texts[start : start + in_flight], return_tensors="pt", padding=True
            )
            made = self._model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                num_beams=1,
                do_sample=False,
                max_new_tokens=max_new_tokens,
            )[:, 1:]
            tokens += sum(_length(row, self._model.generation_config.eos_token_id) for row in made)
        return tokens


def _length(row: torch.Tensor, end: int) -> int:
    ends = (row == end).nonzero()
    return int(ends[0]) + 1 if len(ends) else len(row)


def convert_to_ctranslate2(checkpoint: Path, folder: Path) -> Path:
    """Converts with CTranslate2's own converter."""
    # CTranslate2 4.8 asks a Pegasus configuration for a field that transformers 5 has dropped.
    if not hasattr(PegasusConfig, "normalize_before"):
        PegasusConfig.normalize_before = True
        PegasusConfig.normalize_embedding = False
    TransformersConverter(str(checkpoint)).convert(str(folder), quantization="int8", force=True)
    return folder
