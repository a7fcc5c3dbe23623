"""fxtranslate, Mozilla's engine in Rust: one sentence after the other."""

from collections.abc import Callable

from fxtranslate import Translator

from tests.benchmarks.firefox.model_files import SHORTLIST, ModelFiles
from tests.benchmarks.systems.system import Answer, WarmedUp


class FxTranslate(WarmedUp):
    """It has no batches: texts in flight wait."""

    def __init__(self, files: ModelFiles, count: Callable[[str], int], *, shortlist: bool) -> None:
        self.name = "fxtranslate int8" + (SHORTLIST if shortlist else "")
        vocabulary = files.vocabulary.read_bytes()
        likely = files.shortlist.read_bytes() if shortlist else None
        self._translator = Translator(files.model.read_bytes(), vocabulary, vocabulary, likely)
        self._count = count

    def run(self, texts: list[str], _in_flight: int, _max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        answers = map(self._translator.translate, texts)
        return [Answer(text, self._count(text)) for text in answers]
