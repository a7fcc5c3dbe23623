"""Texts in, their languages out: among those that models translate from."""

from collections.abc import Collection, Sequence

from services.inference.models.catalogue import Catalogue
from services.inference.rows.run import in_thread
from services.inference.text.language_detection import Detection, detect_language
from services.inference.text.media_types import MIME_TYPES, MarkupKind


class LanguageDetector:
    """Detects languages in a thread, where that does not hold up the event loop."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def detect(
        self, contents: Sequence[str], mime_type: str, among: Collection[str] = ()
    ) -> list[Detection]:
        """The language of each text; of all that are translated from when `among` is empty.

        Raises UnknownModelError or TritonUnavailableError when there are none.
        """
        among = among or self._catalogue.sources()
        markup = MIME_TYPES[mime_type] is not MarkupKind.PLAIN

        def detect() -> list[Detection]:
            return [detect_language(text, among, markup=markup) for text in contents]

        return await in_thread(detect)
