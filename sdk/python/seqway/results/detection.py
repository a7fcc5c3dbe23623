"""What `detect` returns."""

from dataclasses import dataclass

from seqway.results.generation import only


@dataclass(frozen=True, slots=True)
class LanguageScore:
    """A language that a text may be in, as a BCP-47 tag, and its score from 0 to 1."""

    language: str
    score: float


@dataclass(frozen=True, slots=True)
class DetectedLanguage:
    """The language of one text, None when it is undecided; `candidates` are best first."""

    language: str | None
    candidates: tuple[LanguageScore, ...]


@dataclass(frozen=True, slots=True)
class DetectResult:
    """The answer to a call: a language for each text, in the order of the request."""

    detections: tuple[DetectedLanguage, ...]

    @property
    def language(self) -> str | None:
        """The language of a call that held one text; `ValueError` when it held several."""
        return only(self.detections, "detections").language
