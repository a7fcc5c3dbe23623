"""What quality models learn from: answers, what decoding says of them, and their sentence chrF."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import sacrebleu

from engine.contract.events import End, FinishReason, Token
from engine.contract.manifest import Manifest
from engine.contract.quality import ExpectedLength, Signals, signals_of
from engine.runtime.batch import TextAnswer
from engine.runtime.decoding.settings import example_options, resolve
from engine.training.corpus import Pair

FEWEST_TOKENS = 4
"""An answer of fewer is not cut."""


@dataclass(frozen=True)
class Sample:
    """The signals of an answer, and its sentence chrF, from 0 to 1."""

    signals: Signals
    chrf: float


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer to the source of a pair, and its sentence chrF against the target, from 0 to 1.

    `end` lists its tokens; those at the positions `forced` were not chosen by the model.
    """

    pair: Pair
    end: End
    chrf: float
    forced: Collection[int] = ()

    @property
    def log_probs(self) -> list[float]:
        """Those of the tokens that the model chose."""
        tokens = enumerate(self.end.tokens)
        return [token.log_prob for place, token in tokens if place not in self.forced]

    @property
    def is_whole(self) -> bool:
        """Whether the model ended it."""
        is_forced = self.end.output_tokens - 1 in self.forced
        return self.end.finish_reason is FinishReason.EOS and not is_forced

    def sample(self, length: ExpectedLength) -> Sample:
        """What there is to learn of it."""
        tokens = self.end.output_tokens
        return self._sample(length, self.log_probs, tokens, self.chrf, finished=self.is_whole)

    def damaged(self, length: ExpectedLength) -> list[Sample]:
        """Of a whole answer: its half, cut by the limit or by an early end, and its double.

        Tokens keep the log-probabilities that they have in the whole answer, as if the model found
        nothing wrong, so that what is learned about lengths does not lean on these.
        """
        tokens, log_probs = self.end.tokens, self.log_probs
        half = len(tokens) // 2
        if not self.is_whole or len(log_probs) < FEWEST_TOKENS:
            return []
        text = _text(tokens)
        doubled = sentence_chrf(f"{text} {text}", self.pair.target)
        cut = sentence_chrf(_text(tokens[:half]), self.pair.target)
        first = log_probs[: len(log_probs) // 2]
        return [
            self._sample(length, first, half, cut, finished=False),
            self._sample(length, log_probs, half + 1, cut, finished=True),
            self._sample(length, log_probs, 2 * len(tokens) - 1, doubled, finished=True),
        ]

    def _sample(
        self,
        length: ExpectedLength,
        log_probs: Sequence[float],
        tokens: int,
        chrf: float,
        *,
        finished: bool,
    ) -> Sample:
        source = self.end.input_tokens
        signals = signals_of(
            log_probs, length, source_tokens=source, answer_tokens=tokens, finished=finished
        )
        return Sample(signals, chrf)


def scored(
    manifest: Manifest, pairs: Sequence[Pair], answers: Sequence[TextAnswer]
) -> list[ScoredAnswer]:
    """The answers to the sources of `pairs` that hold a token that the model chose.

    They were made with the model's own defaults, and list their tokens.
    """
    decoding = resolve(example_options(manifest), manifest)
    forced = decoding.forced([], decoding.max_new_tokens).keys()
    found = [
        ScoredAnswer(pair, answer.end, sentence_chrf(answer.text, pair.target), forced)
        for pair, answer in zip(pairs, answers, strict=True)
    ]
    return [answer for answer in found if answer.log_probs]


def is_held_out(pair: Pair) -> bool:
    """Whether a pair is of the half that no model is fitted on; equal sources are in one half."""
    return zlib.crc32(pair.source.encode()) % 2 == 1


def sentence_chrf(answer: str, reference: str) -> float:
    """ChrF2 of one text by sacreBLEU (Popović 2015, W15-3049), from 0 to 1."""
    return float(sacrebleu.sentence_chrf(answer, [reference]).score) / 100


def expected_length(answers: Sequence[ScoredAnswer]) -> ExpectedLength:
    """How long `answers` are for their sources."""
    sources = np.array([answer.end.input_tokens for answer in answers], np.float64)
    made = np.array([answer.end.output_tokens for answer in answers], np.float64)
    ratio = made.sum() / sources.sum()
    spread = np.sqrt((((made - ratio * sources) ** 2) / sources).mean())
    return ExpectedLength(float(ratio), float(max(spread, SMALLEST_SPREAD)))


SMALLEST_SPREAD = 0.01
"""Where all answers are as long as their sources, any other length would else be infinitely odd."""


def _text(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens)
