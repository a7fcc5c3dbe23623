"""From the options and texts of a request to the rows that are run."""

import secrets
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from engine.contract.manifest import Manifest
from engine.contract.options import MAX_SEED, InvalidOptionsError, Options, wrong
from engine.runtime.decoding.alignment import alignment_outputs
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.greedy import GreedySearch, TokenSelection
from engine.runtime.decoding.processors import Processors
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.settings import Decoding, resolve, with_pair
from engine.runtime.decoding.strategy import DecodingStrategy
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.source_format import Span
from engine.runtime.text.vocabulary import UnknownLanguageError, Vocabulary

T = TypeVar("T")


@dataclass(frozen=True)
class Planner:
    """Makes rows for one variant; `outputs` are those of its decoder step."""

    manifest: Manifest
    vocabulary: Vocabulary
    outputs: frozenset[str]
    max_slots: int

    def plan(self, request: Request, now: float) -> list[Row]:
        """A row for each text of `request`, which arrived at `now`.

        Raises:
            InvalidOptionsError: the options contradict each other, the texts, or the model.

        """
        options = request.options = with_pair(request.options, self.manifest)
        decoding = resolve(options, self.manifest)
        if decoding.num_beams > self.max_slots:
            rule = f"is {decoding.num_beams}, and this engine has room for {self.max_slots}"
            raise wrong("num_beams", rule)
        count = len(request.texts)
        prefixes = _each("target_prefix", options.target_prefix, count)
        seed = options.seed
        if seed is None:
            seed = secrets.randbelow(MAX_SEED + 1) if decoding.sample else 0
        seeds = _each("seed", seed, count)
        try:
            sources = self.vocabulary.encode(
                request.texts, options.source_language, options.target_language
            )
            forced = [
                self.vocabulary.encode_prefix(prefix, options.target_language) if prefix else []
                for prefix in prefixes
            ]
        except UnknownLanguageError as error:
            raise InvalidOptionsError(str(error)) from error
        places = [0] * count if isinstance(options.seed, list) else range(count)
        keys = list(zip(seeds, places, strict=True))
        rows = enumerate(zip(sources, forced, keys, strict=True))
        return [self._row(request, index, decoding, *row, now) for index, row in rows]

    def row(self, request: Request, index: int, plan: RowPlan) -> Row:
        """The row that another process planned for a request with these options."""
        decoding = resolve(request.options, self.manifest)
        strategy = self._strategy(decoding, plan.prompt, plan.limit, plan.key)
        progress = RowProgress(Detokenizer(self.vocabulary.token_bytes))
        return Row(request, index, plan, strategy, progress)

    def _row(
        self,
        request: Request,
        index: int,
        decoding: Decoding,
        source: list[int],
        prefix: list[int],
        key: tuple[int, int],
        now: float,
    ) -> Row:
        """The row of a text; `key` makes its random numbers."""
        options = request.options
        prompt, limit = self._lengths(index, decoding, prefix)
        strategy = self._strategy(decoding, prompt, limit, key)
        plan = RowPlan(
            source,
            limit,
            arrived=now,
            deadline=now + options.deadline_ms / 1000 if options.deadline_ms else np.inf,
            start_id=decoding.start_id,
            prompt=prompt,
            key=key,
            hypotheses=decoding.num_hypotheses,
            forced=decoding.forced(prefix, limit),
            needs=self._needs(options, strategy),
            spans=self._spans(request, index) if options.alignment else [],
        )
        return Row(
            request, index, plan, strategy, RowProgress(Detokenizer(self.vocabulary.token_bytes))
        )

    def _spans(self, request: Request, index: int) -> list[Span]:
        """The code points of a text that each token of its source stands for."""
        options = request.options
        return self.vocabulary.offsets(
            request.texts[index], options.source_language, options.target_language
        )

    def _lengths(self, index: int, decoding: Decoding, prefix: list[int]) -> tuple[int, int]:
        """How many tokens of an answer the caller forces, and how many it has at most."""
        longest = self.manifest.max_target_tokens
        prompt = len(prefix) + (decoding.forced_bos_id is not None) if prefix else 0
        if prompt >= longest:
            rule = f"of text {index} has {prompt} tokens, and an answer has at most {longest}"
            raise wrong("target_prefix", rule)
        return prompt, min(prompt + decoding.max_new_tokens, longest)

    def _strategy(
        self, decoding: Decoding, prompt: int, limit: int, key: tuple[int, int]
    ) -> DecodingStrategy:
        eos = self.manifest.eos_id
        if decoding.num_beams == 1 and not (decoding.sample or decoding.constrained):
            return GreedySearch(eos)
        processors = Processors(decoding, eos, 1 + prompt)
        if decoding.num_beams > 1:
            return BeamSearch(decoding, processors, eos, limit - prompt, self.outputs)
        sampler = Sampler(decoding, *key) if decoding.sample else None
        return TokenSelection(eos, processors, sampler)

    def _needs(self, options: Options, strategy: DecodingStrategy) -> frozenset[str]:
        """The outputs of the step that a row's strategy and its alignment look at."""
        needs = strategy.needs
        if options.alignment:
            needs = needs.union(alignment_outputs(self.manifest))
        if needs <= self.outputs:
            return needs
        missing = min(needs - self.outputs)
        raise InvalidOptionsError(
            f"this variant decodes only greedily: its graph gives no {missing}; export it again"
        )


def _each(name: str, value: T | list[T], count: int) -> list[T]:
    """One value for each of `count` texts."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise wrong(name, f"has {len(value)} entries for {count} texts")
    return value
