"""CTranslate2 INT8, at the setting that a sweep finds for each number of texts in flight."""

import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import ctranslate2
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer
from transformers import PegasusConfig

from tests.benchmarks.systems.batch_settings import BatchSetting, best_setting, settings_for
from tests.benchmarks.systems.system import THREADS, Answer, tokens_per_second, with_beams

END = "</s>"


class CTranslate2:
    """Its own batches: it has no continuous batching."""

    slow = False

    def __init__(
        self, model: Path, checkpoint: Path, beams: int = 1, *, rounds: int, short: bool
    ) -> None:
        self.name = with_beams("CTranslate2 int8", beams)
        self.beams = beams
        self.sweeps: dict[int, dict[BatchSetting, list[float]]] = {}
        self._rounds, self._short = rounds, short
        self._tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        self._translator = cache(lambda inter, intra: open_translator(model, inter, intra))
        self._settings: dict[int, BatchSetting] = {}
        self._using = BatchSetting(1, THREADS)

    def prepare(self, texts: list[str], in_flight: int, max_new_tokens: int) -> None:
        """See `System`: tries all settings in turn, round after round."""
        settings = settings_for(in_flight, THREADS, short=self._short)
        speeds: dict[BatchSetting, list[float]] = {setting: [] for setting in settings}
        self._settings.pop(in_flight, None)
        for self._using in {setting.inter: setting for setting in settings}.values():
            self.run(texts, in_flight, max_new_tokens)  # warms up
        for _ in range(self._rounds):
            for self._using in settings:
                speed = tokens_per_second(self, texts, in_flight, max_new_tokens)
                speeds[self._using].append(speed)
        self.sweeps[in_flight] = speeds
        self._settings[in_flight] = best_setting(speeds)

    def setting(self, in_flight: int) -> str:
        """See `System`."""
        return str(self._settings[in_flight])

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        setting = self._settings.get(in_flight, self._using)
        size = -(-in_flight // setting.parts)
        parts = iter([(at, texts[at : at + size]) for at in range(0, len(texts), size)])
        answers: dict[int, Answer] = {}
        work = threading.Lock()

        def caller() -> None:
            while True:
                with work:
                    first, part = next(parts, (0, None))
                if part is None:
                    return
                found = self._translate(part, setting, max_new_tokens)
                answers.update(enumerate(found, first))

        callers = [threading.Thread(target=caller) for _ in range(setting.parts)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        return [answers[index] for index in range(len(texts))]

    def _translate(
        self, texts: list[str], setting: BatchSetting, max_new_tokens: int
    ) -> Iterator[Answer]:
        sources = [encoding.tokens for encoding in self._tokenizer.encode_batch(texts)]
        results = self._translator(setting.inter, setting.intra).translate_batch(
            sources,
            beam_size=self.beams,
            max_decoding_length=max_new_tokens,
            max_batch_size=setting.max_batch_size,
            batch_type=setting.batch_type,
            return_end_token=True,
        )
        for result in results:
            (tokens,) = result.hypotheses
            text = self._tokenizer.decoder.decode([each for each in tokens if each != END])
            yield Answer(text, len(tokens))


def open_translator(model: Path, inter: int, intra: int) -> ctranslate2.Translator:
    """A translator in INT8 on the processor."""
    return ctranslate2.Translator(
        str(model), compute_type="int8", inter_threads=inter, intra_threads=intra
    )


def convert_to_ctranslate2(checkpoint: Path, folder: Path) -> Path:
    """Converts with CTranslate2's own converter."""
    # CTranslate2 4.8 asks a Pegasus configuration for fields that transformers 5 has dropped.
    for name, value in (("normalize_before", True), ("normalize_embedding", False)):
        if not hasattr(PegasusConfig, name):
            setattr(PegasusConfig, name, value)
    TransformersConverter(str(checkpoint)).convert(str(folder), quantization="int8", force=True)
    return folder
