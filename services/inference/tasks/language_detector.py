"""Texts in, their languages out: among those that models translate from."""

from collections.abc import Collection, Sequence

from services.foundation.pools import Pool
from services.inference.errors import MissingFieldError, UnknownModelError
from services.inference.models.catalogue import Catalogue
from services.inference.rows.engine import TENANT
from services.inference.text.language_detection import Detection, detect_language
from services.inference.text.media_types import MIME_TYPES, MarkupKind

_DETECTING = Pool("detect", 2)


class LanguageDetector:
    """Detects languages in a thread, where that does not hold up the event loop."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def detect(
        self, contents: Sequence[str], mime_type: str, among: Collection[str] = ()
    ) -> list[Detection]:
        """The language of each text; of all that are translated from when `among` is empty.

        Raises MissingFieldError or TritonUnavailableError when there are none.
        """
        among = among or self._sources()
        markup = MIME_TYPES[mime_type] is not MarkupKind.PLAIN

        def detect() -> list[Detection]:
            return [detect_language(text, among, markup=markup) for text in contents]

        return await _DETECTING.run(TENANT.get(), detect)

    def _sources(self) -> list[str]:
        try:
            return self._catalogue.sources()
        except UnknownModelError:
            raise MissingFieldError(
                "no model translates, so there is no language to choose: give language_codes",
                field="language_codes",
            ) from None
