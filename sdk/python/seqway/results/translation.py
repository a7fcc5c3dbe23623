"""What `translate` returns."""

from dataclasses import dataclass

from seqway.results.generation import (
    FinishReason,
    Hypothesis,
    Timings,
    TokenCounts,
    TokenLogProb,
    only,
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence: its span in the source and in the translation, in code points, end excluded.

    `score` and `log_prob` are as in `Hypothesis`.  `tokens` is filled when the call asked for
    `token_log_probs`; `alternatives`, best first, when it asked for several hypotheses.  `quality`,
    from 0 to 1, is how good the translation is likely to be; None where the model estimates none.
    """

    source_start: int
    source_end: int
    target_start: int
    target_end: int
    finish_reason: FinishReason
    score: float
    log_prob: float = 0.0
    tokens: tuple[TokenLogProb, ...] = ()
    alternatives: tuple[Hypothesis, ...] = ()
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class GlossaryMatch:
    """A place where entry `entry_index` of the call's glossary was applied, in code points."""

    entry_index: int
    source_start: int
    source_end: int
    target_start: int
    target_end: int


@dataclass(frozen=True, slots=True)
class Pivot:
    """The language through which a text was translated, and the variant that translated to it."""

    language: str
    model: str


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text.

    `finish_reason` is EOS when every segment came to its end, else the worst of their reasons.
    `detected_language` is a tag where the call left the language to be detected.
    `pivot` is set where no model translates the pair, and two did.
    `quality` is the mean of the segments', weighted by tokens; None where one has none.
    """

    text: str
    segments: tuple[Segment, ...]
    finish_reason: FinishReason
    token_counts: TokenCounts
    warnings: tuple[str, ...]
    glossary_matches: tuple[GlossaryMatch, ...] = ()
    detected_language: str = ""
    pivot: Pivot | None = None
    quality: float | None = None


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
        return only(self.texts, "texts")

    @property
    def texts(self) -> tuple[str, ...]:
        """The translations alone."""
        return tuple(translation.text for translation in self.translations)
