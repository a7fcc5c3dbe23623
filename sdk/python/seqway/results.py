"""What the calls return: immutable, without protobuf types."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why a generation ended; see `seqway.v1.FinishReason`."""

    UNSPECIFIED = "UNSPECIFIED"
    EOS = "EOS"
    LENGTH = "LENGTH"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens read and made, the ends of sequence included."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a call went, in seconds, as the gateway saw it.

    `queue` is the longest that a segment waited; `first_token` and `total` count from the arrival.
    """

    queue: float
    first_token: float
    total: float


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence: its span in the source and in the translation, in code points, end excluded.

    `score` is the sum of the natural log-probabilities of its tokens.
    """

    source_start: int
    source_end: int
    target_start: int
    target_end: int
    finish_reason: FinishReason
    score: float


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text.

    `finish_reason` is EOS when every segment came to its end, else the worst of their reasons.
    """

    text: str
    segments: tuple[Segment, ...]
    finish_reason: FinishReason
    token_counts: TokenCounts
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TranslateResult:
    """The answer to a call: a translation for each text, in the order of the request."""

    translations: tuple[Translation, ...]
    model: str
    timings: Timings

    @property
    def text(self) -> str:
        """The translation of a call that held one text.

        Raises `ValueError` when it held several: see `texts`.
        """
        if len(self.translations) != 1:
            raise ValueError(f"{len(self.translations)} texts were translated: use .texts")
        return self.translations[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """The translations alone."""
        return tuple(translation.text for translation in self.translations)


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """A direction of translation, in BCP-47 codes."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, slots=True)
class Model:
    """One variant of a model: a checkpoint in one precision."""

    name: str
    base_model: str
    task: str
    language_pairs: tuple[LanguagePair, ...]
    precision: str
    max_source_tokens: int
    max_target_tokens: int
    family: str
    checkpoint_sha256: str
    quality: Mapping[str, float]
    ready: bool
