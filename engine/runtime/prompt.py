"""How a text is put to a model: the pair of languages, how the answer starts.

Served requests go this way, and so does whatever measures or calibrates a variant.
"""

from dataclasses import dataclass, replace
from typing import Any

from engine.contract.manifest import Manifest
from engine.contract.options import Options
from engine.runtime.decoding.greedy import TokenSelection
from engine.runtime.decoding.processors import Processors, forced_tokens
from engine.runtime.decoding.settings import Decoding, resolve


def with_pair(options: Options, manifest: Manifest) -> Options:
    """The options with what a model of one pair, or of one language, need not be told."""
    pairs = manifest.language_pairs
    if (
        len(pairs) != 1
        and not len(manifest.source_languages) == len(manifest.target_languages) == 1
    ):
        return options
    source, target = manifest.example_languages
    return replace(
        options,
        source_language=options.source_language or source,
        target_language=options.target_language or target,
    )


def example_options(manifest: Manifest, **options: Any) -> Options:
    """Options as a request has them that names the manifest's example languages."""
    source, target = manifest.example_languages
    return Options(stream=False, **options, source_language=source, target_language=target)


def start_id(manifest: Manifest, options: Options) -> int:
    """The token that the decoder starts with."""
    starts = manifest.decoder_start_ids
    return starts.get(options.target_language, starts.get("", manifest.decoder_start_id))


@dataclass(frozen=True)
class GreedyStart:
    """How the answers to a manifest's example languages are decoded greedily.

    `selection` is None where the graph's own choice of tokens holds.
    """

    start_id: int
    decoding: Decoding
    selection: TokenSelection | None

    def forced(self, limit: int) -> dict[int, int]:
        """The tokens that must be made, by their position, in an answer of at most `limit`."""
        return forced_tokens(self.decoding, (), limit)


def greedy_start(manifest: Manifest) -> GreedyStart:
    """See `GreedyStart`."""
    options = example_options(manifest, num_beams=1, sample=False, stop_repetition=False)
    decoding = resolve(options, manifest)
    selection = None
    if decoding.constrained:
        eos = manifest.eos_id
        selection = TokenSelection(eos, Processors(decoding, eos, 1))
    return GreedyStart(start_id(manifest, options), decoding, selection)
