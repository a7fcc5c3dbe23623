"""Which variants there are, and which of them serves a call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.contract.languages import language_distance
from engine.contract.manifest import Manifest
from services.inference.errors import (
    MissingFieldError,
    ModelNotReadyError,
    ServiceUnavailableError,
    TritonUnavailableError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.models.choice import (
    VariantChoice,
    direction,
    directions,
    reads,
    sources,
    targets_from,
)

TRANSLATION = "translation"
SUMMARIZATION = "summarization"
CLASSIFICATION = "classification"
QUESTION_ANSWERING = "question-answering"

_LONGEST_QUOTE = 40
_FIRST_PIVOT = "en"
_MOST_REMEMBERED = 1024
# What of a manifest tells variants of one checkpoint apart.
_OF_A_VARIANT = ("name", "precision", "quality", "speed", "quality_model")


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant, and whether it answers now."""

    manifest: Manifest
    ready: bool

    @property
    def name(self) -> str:
        """The variant's name, which is also its name in Triton."""
        return self.manifest.name


@dataclass(frozen=True, slots=True)
class Leg:
    """A variant on the way of a translation, and its own codes of the two languages."""

    variant: Variant
    source: str
    target: str


class Catalogue:
    """The latest word on the variants; whoever watches Triton replaces it."""

    def __init__(self, choice: VariantChoice) -> None:
        self._choice = choice
        self._variants: dict[str, Variant] = {}
        self._sources: dict[tuple[str, str, bool], list[str]] = {}
        self._reachable = False

    @property
    def reachable(self) -> bool:
        """Whether Triton answered when it was last asked."""
        return self._reachable

    def serves(self, task: str = "") -> bool:
        """Whether a variant is ready for the task; for any task when that is empty."""
        variants = self._variants.values()
        return any(
            each.ready and each.manifest.task == (task or each.manifest.task) for each in variants
        )

    def variants(self) -> list[Variant]:
        """All variants, by name."""
        return [self._variants[name] for name in sorted(self._variants)]

    def replace(self, variants: Iterable[Variant]) -> None:
        """Takes what Triton serves now."""
        before = [each.manifest for each in self._variants.values()]
        self._variants = {variant.name: variant for variant in variants}
        if before != [each.manifest for each in self._variants.values()]:
            self._sources.clear()
        self._reachable = True

    def lose(self) -> None:
        """Notes that Triton does not answer: what it served is known still, and not ready."""
        self._variants = {
            name: Variant(variant.manifest, ready=False) for name, variant in self._variants.items()
        }
        self._reachable = False

    def lose_variant(self, name: str) -> None:
        """Notes that a variant was found dead; the next look at Triton has the last word."""
        if name in self._variants:
            self._variants[name] = Variant(self._variants[name].manifest, ready=False)

    def other(self, name: str, asked: str) -> Manifest | None:
        """The best ready variant that can go on for `name`, which was lost to a call.

        It is of the same model and made of the same checkpoint.  None where there is none, or where
        the call `asked` for that very variant.
        """
        lost = self._variants.get(name)
        if lost is None or asked == name:
            return None
        able = [
            each.manifest
            for each in self._variants.values()
            if each.ready and each.name != name and _is_equal(each.manifest, lost.manifest)
        ]
        known = [each.manifest for each in self._variants.values()]
        return self._choice.best(able, known) if able else None

    def get(self, name: str) -> Variant:
        """The variant of that name, else UnknownModelError."""
        self._require_knowledge()
        if name not in self._variants:
            raise UnknownModelError(
                f"unknown variant {_quoted(name)}; known are: {_names(self._variants)}",
                field="name",
            )
        return self._variants[name]

    def pick(self, task: str, model: str) -> Variant:
        """The best ready variant for the task, of `model` when that is not empty.

        Raises UnknownModelError, ModelNotReadyError or TritonUnavailableError.
        """
        return self._best(self._able(task, model))

    def pick_only(self, task: str, model: str) -> Variant:
        """As `pick`, but MissingFieldError when no model is named and there are several."""
        able = self._able(task, model)
        models = {each.manifest.base_model for each in able}
        if not model and len(models) > 1:
            raise MissingFieldError(f"model is required, one of: {_names(models)}", field="model")
        return self._best(able)

    def pick_translator(self, source: str, target: str, model: str) -> tuple[Variant, str, str]:
        """The best ready variant for the pair, and its own codes of the two languages.

        Of those that are ready, the ones whose languages are closest to the request's.

        Raises UnknownModelError, UnknownLanguagePairError, ModelNotReadyError or
        TritonUnavailableError.
        """
        self._require_knowledge()
        named = self._named(TRANSLATION, model) if model else self._of(TRANSLATION)
        able = [
            (each, found)
            for each in named
            if (found := direction(each.manifest, source, target)) is not None
        ]
        if not able:
            raise _unknown_pair([each.manifest for each in named], source, target, model)
        ready = [found.distance for each, found in able if each.ready]
        directions = {
            each.name: found for each, found in able if not ready or found.distance == min(ready)
        }
        best = self._best([each for each, _ in able if each.name in directions])
        return best, directions[best.name].source, directions[best.name].target

    def sources(
        self, target: str = "", model: str = "", *, forbid_pivot: bool = False
    ) -> list[str]:
        """The languages that are translated to `target`, or to any when that is empty.

        As `pick_legs` does it.  The target itself is none of them.  Raises UnknownModelError,
        UnknownLanguagePairError or TritonUnavailableError.
        """
        named = self._able(TRANSLATION, model)
        known = self._sources.get((target, model, forbid_pivot))
        if known is not None:
            return known
        manifests = [each.manifest for each in named]
        found = {one for each in manifests for one in sources(each, target)}
        if target and not model and not forbid_pivot:
            further = {one for pivot in found for each in manifests for one in sources(each, pivot)}
            found |= {one for one in further if not _are_related(one, target)}
        if not found:
            raise _unknown_pair(manifests, "", target, model)
        if len(self._sources) >= _MOST_REMEMBERED:
            self._sources.clear()
        return self._sources.setdefault((target, model, forbid_pivot), sorted(found))

    def check_legs(self, source: str, target: str, model: str, *, forbid_pivot: bool) -> None:
        """Raises as `pick_legs`; an empty source is any."""
        among = [source] if source else self.sources(target, model, forbid_pivot=forbid_pivot)
        for one in among:
            try:
                self.pick_legs(one, target, model, forbid_pivot=forbid_pivot)
                return
            except ModelNotReadyError as error:
                unready = error
        raise unready

    def pick_legs(
        self, source: str, target: str, model: str, *, forbid_pivot: bool = False
    ) -> list[Leg]:
        """As `pick_translator`; where no model serves the pair, two do through a third language.

        That is English where it can be.  A model that is named translates by itself or not at all.
        """
        try:
            return [Leg(*self.pick_translator(source, target, model))]
        except UnknownLanguagePairError as unknown:
            pivots = [] if model else self._pivots(source, target)
            if pivots and forbid_pivot:
                raise UnknownLanguagePairError(
                    f'{unknown}; through "{pivots[0]}" it can be translated, which the request'
                    " forbids",
                    field="forbid_pivot",
                ) from None
            if not pivots:
                raise
        unready: list[ServiceUnavailableError] = []
        for pivot in pivots:
            try:
                first = Leg(*self.pick_translator(source, pivot, ""))
                return [first, Leg(*self.pick_translator(pivot, target, ""))]
            except ServiceUnavailableError as error:
                unready.append(error)
        raise unready[0]

    def _pivots(self, source: str, target: str) -> list[str]:
        """The languages through which two models translate the pair, the best first."""
        if _are_related(source, target):
            return []
        manifests = [each.manifest for each in self._of(TRANSLATION)]
        writers = [manifest for manifest in manifests if sources(manifest, target)]
        readers = manifests if writers else []
        between = {each for manifest in readers for each in targets_from(manifest, source)}
        found = [
            each
            for each in between
            if not _are_related(each, source)
            and any(direction(manifest, each, target) for manifest in writers)
        ]
        return sorted(found, key=lambda each: (each != _FIRST_PIVOT, each))

    def _able(self, task: str, model: str) -> list[Variant]:
        self._require_knowledge()
        able = self._named(task, model) if model else self._of(task)
        if not able:
            raise UnknownModelError(f"no model for {task} is served", field="model")
        return able

    def _best(self, able: Sequence[Variant]) -> Variant:
        ready = [each for each in able if each.ready]
        if not ready:
            self._require_triton()
            raise ModelNotReadyError(f"not ready: {_names(each.name for each in able)}")
        known = [each.manifest for each in self._variants.values()]
        return self._variants[self._choice.best([each.manifest for each in ready], known).name]

    def _of(self, task: str) -> list[Variant]:
        return [each for each in self._variants.values() if each.manifest.task == task]

    def _named(self, task: str, model: str) -> list[Variant]:
        """The variants that a name stands for; it may stand for other tasks' too."""
        named = [each for each in self._variants.values() if _is_named(each, model)]
        able = [each for each in named if each.manifest.task == task]
        if able:
            return able
        tasks = _names({each.manifest.task for each in named})
        subject = f"the model {_quoted(model)} is for {tasks}"
        if not named:
            subject = f"unknown model {_quoted(model)}"
        known = self._of(task)
        names = _names({each.manifest.base_model for each in known} | {each.name for each in known})
        raise UnknownModelError(f"{subject}; models for {task}: {names}", field="model")

    def _require_knowledge(self) -> None:
        if not self._variants:
            self._require_triton()

    def _require_triton(self) -> None:
        if not self._reachable:
            raise TritonUnavailableError("Triton does not answer")


def _are_related(one: str, other: str) -> bool:
    """Whether one of two languages serves for the other."""
    pairs = ((one, other), (other, one))
    return any(language_distance(*pair) is not None for pair in pairs)


def _is_named(variant: Variant, model: str) -> bool:
    return model in (variant.name, variant.manifest.base_model)


def _is_equal(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests describe the same model, whatever computes it."""
    own = {name: getattr(one, name) for name in _OF_A_VARIANT}
    return one == replace(other, **own)


def _unknown_pair(
    manifests: Sequence[Manifest], source: str, target: str, model: str
) -> UnknownLanguagePairError:
    subject = f"the model {_quoted(model)} does not translate" if model else "no model translates"
    origin = f" from {_quoted(source)}" if source else ""
    known = "; ".join(directions(manifests)) or "none"
    knows_source = not source or any(reads(each, source) for each in manifests)
    return UnknownLanguagePairError(
        f"{subject}{origin} to {_quoted(target)}; supported are: {known}",
        field="target_language_code" if knows_source else "source_language_code",
    )


def _quoted(name: str) -> str:
    """A name that the caller sent, which may be anything, in so far as it helps to see it."""
    return f'"{name}"' if len(name) <= _LONGEST_QUOTE else f'"{name[:_LONGEST_QUOTE]}..."'


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
