"""From the options and texts of a request to the rows that are run."""

import secrets
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from engine.contract.manifest import Manifest
from engine.contract.options import MAX_SEED, InvalidOptionsError, wrong
from engine.runtime.batching.row import Row
from engine.runtime.decoding.alignment import alignment_outputs
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.choice import Choice
from engine.runtime.decoding.processors import Processors, forced_tokens
from engine.runtime.decoding.sampling import Sampler
from engine.runtime.decoding.settings import Decoding, resolve
from engine.runtime.prompt import start_id, with_pair
from engine.runtime.request import Request
from engine.runtime.text.detokenizer import Detokenizer
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
        seed = secrets.randbelow(MAX_SEED + 1) if options.seed is None else options.seed
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
        own_seeds = isinstance(options.seed, list)
        rows = [
            self._row(request, decoding, index, source, now) for index, source in enumerate(sources)
        ]
        for row, prefix, row_seed in zip(rows, forced, seeds, strict=True):
            self._prepare(row, decoding, prefix, (row_seed, 0 if own_seeds else row.index))
        return rows

    def _row(
        self, request: Request, decoding: Decoding, index: int, source: list[int], now: float
    ) -> Row:
        options = request.options
        return Row(
            request=request,
            index=index,
            source=source,
            limit=decoding.max_new_tokens,
            detokenizer=Detokenizer(self.vocabulary.token_bytes),
            arrived=now,
            deadline=now + options.deadline_ms / 1000 if options.deadline_ms else np.inf,
            width=decoding.num_beams,
            answers=decoding.num_hypotheses,
            start_id=start_id(self.manifest, options),
        )

    def _prepare(
        self, row: Row, decoding: Decoding, prefix: list[int], key: tuple[int, int]
    ) -> None:
        """Sets how a row is decoded: what is forced, who chooses, and what is needed for it."""
        longest = self.manifest.max_target_tokens
        if prefix:
            row.prompt = len(prefix) + (decoding.forced_bos_id is not None)
        if row.prompt >= longest:
            message = (
                f"target_prefix of text {row.index} has {row.prompt} tokens, and an answer has at"
                f" most {longest}"
            )
            raise InvalidOptionsError(message, "target_prefix")
        row.limit = min(row.prompt + decoding.max_new_tokens, longest)
        row.forced = forced_tokens(decoding, prefix, row.limit)
        row.decoder = self._decoder(row, decoding, key)
        row.needs = self._needs(row)
        if row.options.alignment:
            options, text = row.options, row.request.texts[row.index]
            row.spans = self.vocabulary.offsets(
                text, options.source_language, options.target_language
            )

    def _decoder(
        self, row: Row, decoding: Decoding, key: tuple[int, int]
    ) -> Choice | BeamSearch | None:
        eos = self.manifest.eos_id
        processors = Processors(decoding, eos, 1 + row.prompt)
        if decoding.num_beams > 1:
            return BeamSearch(decoding, processors, eos, row.limit - row.prompt)
        if decoding.sample:
            return Choice(processors, Sampler(decoding, *key))
        return Choice(processors, None) if decoding.constrained else None

    def _needs(self, row: Row) -> frozenset[str]:
        """The outputs of the step that a row's decoder and its alignment look at."""
        needs = set(alignment_outputs(self.manifest)) if row.options.alignment else set()
        if isinstance(row.decoder, Choice):
            needs |= {"logits", "all_log_probs"}
        elif isinstance(row.decoder, BeamSearch):
            needs.add("all_log_probs")
            if "suppressed_logits" in self.outputs:
                needs |= {"logits", "suppressed_logits"}
        if needs <= self.outputs:
            return frozenset(needs)
        missing = sorted(needs - self.outputs)[0]
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
