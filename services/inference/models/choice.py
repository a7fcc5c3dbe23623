"""Which variants can translate between two languages, and which of several serves a call.

Languages are compared as `engine.contract.languages` says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.contract.languages import language_distance
from engine.contract.manifest import Manifest
from services.inference.errors import UnknownLanguagePairError

AUTO = "auto"

PRIMARY = {"translation": "bleu", "summarization": "rougeL", "classification": "accuracy"}
"""The figure of a manifest's `quality` that says what a variant loses, in points."""

ORDER = ("int8", "bf16", "fp16", "fp32")
"""What is usually fastest comes first; it decides where speeds are not known."""

REFERENCE = "fp32"


@dataclass(frozen=True, slots=True)
class Direction:
    """A variant's own codes for a pair, and how far they are from what was asked for."""

    source: str
    target: str
    distance: int


class VariantChoice:
    """Ranks variants: by a fixed order of precisions, or `auto`.

    `auto` is the fastest variant that loses at most `max_loss` points against its model's FP32.
    Speed does not decide between models: nobody knows which of them is better.
    """

    def __init__(self, preferred: Sequence[str], max_loss: float) -> None:
        self._preferred = tuple(preferred)
        self._max_loss = max_loss

    def best(self, able: Sequence[Manifest], known: Iterable[Manifest]) -> Manifest:
        """The best of `able`; `known` are all variants, whose qualities are compared."""
        if AUTO not in self._preferred:
            return min(able, key=lambda each: (_rank(self._preferred, each), each.name))
        known, models = list(known), {each.base_model for each in able}
        if len(models) > 1:
            own = [[each for each in able if each.base_model == model] for model in models]
            bests = [self.best(each, known) for each in own]
            return min(bests, key=lambda each: (_rank(ORDER, each), each.name))
        good = [each for each in able if self._is_good(each, known)] or _best_measured(able)
        machines = set.intersection(*(set(each.speed) for each in good))
        if machines:
            machine = min(machines)
            return min(good, key=lambda each: (-each.speed[machine], each.name))
        return min(good, key=lambda each: (_rank(ORDER, each), each.name))

    def _is_good(self, manifest: Manifest, known: Iterable[Manifest]) -> bool:
        """Whether a variant is measured and loses little, or there is nothing to compare with."""
        figure = PRIMARY.get(manifest.task, "")
        siblings = [each for each in known if each.base_model == manifest.base_model]
        measured = {
            each.precision: each.quality[figure] for each in siblings if figure in each.quality
        }
        if manifest.precision == REFERENCE or not measured:
            return True
        unmeasured = {each.precision for each in siblings} - measured.keys()
        if manifest.precision in unmeasured or REFERENCE in unmeasured:
            return False
        reference = measured.get(REFERENCE, max(measured.values()))
        return reference - measured[manifest.precision] <= self._max_loss + 1e-9


def direction(manifest: Manifest, source: str, target: str) -> Direction | None:
    """The variant's closest pair, None when it does not translate what was asked for."""
    found = [
        Direction(mine, yours, far)
        for mine, yours in manifest.language_pairs
        if (far := _sum(language_distance(mine, source), language_distance(yours, target)))
        is not None
    ]
    mine = _closest(manifest.source_languages, source)
    yours = _closest(manifest.target_languages, target)
    if mine and yours and mine != yours:
        far = _sum(language_distance(mine, source), language_distance(yours, target))
        assert far is not None
        found.append(Direction(mine, yours, far))
    return min(found, key=lambda each: each.distance, default=None)


def own_code(manifest: Manifest, language: str) -> str:
    """The code of a language that a variant both reads and writes; "" when it needs none.

    UnknownLanguagePairError when it is a model of many languages, and this is not one of them.
    """
    known = [each for each in manifest.source_languages if each in manifest.target_languages]
    code = _closest(known, language)
    if known and not code:
        raise UnknownLanguagePairError(
            f'{manifest.base_model} does not support "{language}"; supported are:'
            f" {', '.join(sorted(known))}",
            field="language_code",
        )
    return code


def reads(manifest: Manifest, source: str) -> bool:
    """Whether the variant translates from the language at all."""
    sources = (*(mine for mine, _ in manifest.language_pairs), *manifest.source_languages)
    return any(language_distance(mine, source) is not None for mine in sources)


def sources(manifest: Manifest, target: str) -> set[str]:
    """The languages that a variant translates to `target`, or to any when that is empty."""
    found = {
        mine
        for mine, yours in manifest.language_pairs
        if not target or language_distance(yours, target) is not None
    }
    if not target or _closest(manifest.target_languages, target):
        found.update(manifest.source_languages)
    return {one for one in found if language_distance(one, target) is None}


def targets_from(manifest: Manifest, source: str) -> set[str]:
    """The languages that the variant translates one to."""
    found = {
        yours
        for mine, yours in manifest.language_pairs
        if language_distance(mine, source) is not None
    }
    if mine := _closest(manifest.source_languages, source):
        found |= {each for each in manifest.target_languages if each != mine}
    return found


def directions(manifests: Iterable[Manifest]) -> list[str]:
    """What a caller may choose from, in words; many-to-many models by their lists."""
    found: set[str] = set()
    for each in manifests:
        found |= {f"{mine} to {yours}" for mine, yours in each.language_pairs}
        if each.source_languages:
            sources, targets = sorted(each.source_languages), sorted(each.target_languages)
            found.add(f"any of {', '.join(sources)} to any of {', '.join(targets)}")
    return sorted(found)


def _best_measured(able: Sequence[Manifest]) -> list[Manifest]:
    """Where none is good: those with the best quality, or all if none was measured."""
    figures = [each.quality.get(PRIMARY.get(each.task, ""), float("-inf")) for each in able]
    return [each for each, figure in zip(able, figures, strict=True) if figure == max(figures)]


def _rank(order: Sequence[str], manifest: Manifest) -> int:
    return order.index(manifest.precision) if manifest.precision in order else len(order)


def _closest(served: Sequence[str], asked: str) -> str:
    far = {each: language_distance(each, asked) for each in served}
    near = {each: distance for each, distance in far.items() if distance is not None}
    return min(near, key=near.__getitem__, default="")


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
