"""The answers of a variant to a list of texts, run in this process: what quality is measured on."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.contract.manifest import Task, read_manifest
from engine.contract.readings import Logits
from engine.model.errors import counted
from engine.runtime.batch import EngineError, TextAnswer, run_texts
from engine.runtime.decoding.settings import example_options
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.placement import usable_cores
from engine.runtime.text.vocabulary import load_tokenizer, load_vocabulary


def answer_texts(
    files: Path, texts: Sequence[str], settings: Settings | None = None
) -> tuple[list[str], Task]:
    """Answers with the variant's own defaults, or the likeliest labels; and the variant's task.

    `settings` are the engine's; of an encoder only lanes count.

    Raises:
        EngineError: a text could not be run.

    """
    manifest = read_manifest(files)
    if manifest.kind == "encoder":
        lanes = settings.lanes if settings else 0
        return likeliest_labels(files, texts, lanes=lanes), manifest.task
    return [answer.text for answer in generate(files, texts, settings)], manifest.task


def generate(
    files: Path, texts: Sequence[str], settings: Settings | None = None, **options: Any
) -> list[TextAnswer]:
    """The answers of a generating variant, with its own defaults but for `options`.

    Raises:
        EngineError: a text could not be run.

    """
    engine = Engine(files, settings)
    engine.start()
    try:
        return run_texts(engine, texts, example_options(read_manifest(files), **options))
    finally:
        engine.stop()


def texts_per_second(
    files: Path, texts: Sequence[str], settings: Settings | None = None
) -> dict[str, float]:
    """How many texts a second the variant answers on this machine: {machine: rate}.

    The texts run together, after a round that is not counted; too long ones are left out. For
    `settings` see `answer_texts`.
    """
    kept = [text for text, fit in zip(texts, fits(files, texts), strict=True) if fit]
    run = _read_all if read_manifest(files).kind == "encoder" else answer_texts
    run(files, kept[:4], settings)
    began = time.monotonic()
    run(files, kept, settings)
    return {machine(): round(len(kept) / (time.monotonic() - began), 1)}


def _read_all(files: Path, texts: Sequence[str], settings: Settings | None) -> None:
    """Has an encoder read texts; what it finds in them does not matter."""
    engine = EncoderEngine(files, lanes=settings.lanes if settings else 0)
    question = "What is it?" if engine.manifest.head == "spans" else ""
    try:
        engine.run([EncoderItem(text, question, EncoderOptions()) for text in texts])
    finally:
        engine.close()


def machine() -> str:
    """The processor and how many cores of it this process has, such as "AMD EPYC, 2 cores"."""
    cores = usable_cores()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {cores} cores"


def fits(files: Path, texts: Sequence[str]) -> list[bool]:
    """Of each text, whether the model takes it as a whole; an encoder reads any by windows."""
    manifest = read_manifest(files)
    if manifest.kind == "encoder":
        return [True] * len(texts)
    return [length <= manifest.max_source_tokens for length in count_tokens(files, texts)]


def count_tokens(files: Path, texts: Sequence[str]) -> list[int]:
    """How many tokens each text is to the variant, before it is cut into windows."""
    manifest = read_manifest(files)
    if manifest.kind == "encoder":
        return [len(one.ids) for one in load_tokenizer(files).encode_batch(list(texts))]
    sources = load_vocabulary(files, manifest).encode(texts, *manifest.example_languages)
    return [len(source) for source in sources]


def left_out(number: int, total: int) -> str:
    """What is said of texts that are longer than the model takes."""
    verb = "is" if number == 1 else "are"
    return f"{number} of {counted(total, 'test text')} {verb} too long: left out"


def likeliest_labels(
    files: Path, texts: Sequence[str], in_flight: int = 64, lanes: int = 0
) -> list[str]:
    """The label with the largest logit of each text, `in_flight` texts at a time.

    Raises:
        EngineError: a text could not be run.

    """
    engine = EncoderEngine(files, lanes=lanes)
    labels = engine.manifest.labels
    found = []
    try:
        for start in range(0, len(texts), in_flight):
            items = [
                EncoderItem(text, "", EncoderOptions()) for text in texts[start : start + in_flight]
            ]
            for item, result in zip(items, engine.run(items), strict=True):
                if not isinstance(result, Logits):
                    raise EngineError(f"{item.text[:60]!r} could not be run: {result}")
                found.append(labels[max(range(len(labels)), key=result.logits.__getitem__)])
    finally:
        engine.close()
    return found
