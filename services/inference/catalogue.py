"""Which variants there are, and which of them serves a call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.inference.errors import (
    ModelNotReadyError,
    TritonUnavailableError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.manifest import Manifest

TRANSLATION = "translation"


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant, and whether it answers now."""

    manifest: Manifest
    ready: bool

    @property
    def name(self) -> str:
        """The variant's name, which is also its name in Triton."""
        return self.manifest.name

    def translates(self, source: str, target: str) -> bool:
        """Whether the pair of BCP-47 codes is one of the variant's; "en-GB" is served by "en"."""
        return any(
            _covers(mine, source) and _covers(yours, target)
            for mine, yours in self.manifest.language_pairs
        )


class Catalogue:
    """The latest word on the variants; whoever watches Triton replaces it."""

    def __init__(self, preferred_precisions: Sequence[str]) -> None:
        self._ranks = {name: rank for rank, name in enumerate(preferred_precisions)}
        self._variants: dict[str, Variant] = {}
        self._reachable = False

    @property
    def reachable(self) -> bool:
        """Whether Triton answered when it was last asked."""
        return self._reachable

    @property
    def translates(self) -> bool:
        """Whether a variant is ready to translate."""
        return any(each.ready and each.manifest.task == TRANSLATION for each in self.variants())

    def variants(self) -> list[Variant]:
        """All variants, by name."""
        return [self._variants[name] for name in sorted(self._variants)]

    def replace(self, variants: Iterable[Variant]) -> None:
        """Takes what Triton serves now."""
        self._variants = {variant.name: variant for variant in variants}
        self._reachable = True

    def lose(self) -> None:
        """Notes that Triton does not answer: what it served is known still, and not ready."""
        self._variants = {
            name: Variant(variant.manifest, ready=False) for name, variant in self._variants.items()
        }
        self._reachable = False

    def get(self, name: str) -> Variant:
        """The variant of that name, else UnknownModelError."""
        self._require_knowledge()
        if name not in self._variants:
            raise UnknownModelError(
                f'there is no variant "{name}"; there are: {_names(self._variants)}', field="name"
            )
        return self._variants[name]

    def pick(self, source: str, target: str, model: str) -> Variant:
        """The best ready variant for the pair, of `model` when that is not empty.

        Raises UnknownModelError, UnknownLanguagePairError, ModelNotReadyError or
        TritonUnavailableError.
        """
        self._require_knowledge()
        named = self._named(model) if model else self._translators()
        able = [each for each in named if each.translates(source, target)]
        if not able:
            raise self._unknown_pair(named, source, target, model)
        ready = [each for each in able if each.ready]
        if not ready:
            self._require_triton()
            raise ModelNotReadyError(f"{_names(each.name for each in able)}: not ready")
        return min(ready, key=self._preference)

    def _translators(self) -> list[Variant]:
        return [each for each in self._variants.values() if each.manifest.task == TRANSLATION]

    def _named(self, model: str) -> list[Variant]:
        translators = self._translators()
        named = [each for each in translators if model in (each.name, each.manifest.base_model)]
        if not named:
            models = {each.manifest.base_model for each in translators}
            names = _names({*models, *(each.name for each in translators)})
            raise UnknownModelError(
                f'there is no model "{model}"; there are: {names}', field="model"
            )
        return named

    def _unknown_pair(
        self, variants: Sequence[Variant], source: str, target: str, model: str
    ) -> UnknownLanguagePairError:
        pairs = {pair for each in variants for pair in each.manifest.language_pairs}
        knows_source = any(_covers(mine, source) for mine, _ in pairs)
        subject = f'the model "{model}" does not translate' if model else "no model translates"
        known = _names(f"{mine} to {yours}" for mine, yours in pairs)
        return UnknownLanguagePairError(
            f'{subject} from "{source}" to "{target}"; the pairs are: {known}',
            field="target_language_code" if knows_source else "source_language_code",
        )

    def _preference(self, variant: Variant) -> tuple[int, str]:
        return self._ranks.get(variant.manifest.precision, len(self._ranks)), variant.name

    def _require_knowledge(self) -> None:
        if not self._variants:
            self._require_triton()

    def _require_triton(self) -> None:
        if not self._reachable:
            raise TritonUnavailableError("Triton does not answer")


def _covers(served: str, asked: str) -> bool:
    served, asked = served.casefold(), asked.replace("_", "-").casefold()
    return asked == served or asked.startswith(f"{served}-")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
