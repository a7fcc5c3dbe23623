"""Which languages a variant translates between; codes are BCP-47."""

from collections.abc import Iterable, Sequence

from services.inference.errors import UnknownLanguagePairError
from services.inference.models.manifest import Manifest


def direction(manifest: Manifest, source: str, target: str) -> tuple[str, str] | None:
    """The variant's own codes for a pair, None when it does not translate it.

    "en-GB" is served by "en"; the closest of several wins.
    """
    for mine, yours in manifest.language_pairs:
        if covers(mine, source) and covers(yours, target):
            return mine, yours
    mine = _closest(manifest.source_languages, source)
    yours = _closest(manifest.target_languages, target)
    if not mine or not yours or mine == yours:
        return None
    return mine, yours


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
    return any(covers(mine, source) for mine in sources)


def directions(manifests: Iterable[Manifest]) -> list[str]:
    """What a caller may choose from, in words; many-to-many models by their lists."""
    found: set[str] = set()
    for each in manifests:
        found |= {f"{mine} to {yours}" for mine, yours in each.language_pairs}
        if each.source_languages:
            sources, targets = sorted(each.source_languages), sorted(each.target_languages)
            found.add(f"any of {', '.join(sources)} to any of {', '.join(targets)}")
    return sorted(found)


def covers(served: str, asked: str) -> bool:
    """Whether a language that is served is the one asked for, or that one without its region."""
    served, asked = served.casefold(), asked.replace("_", "-").casefold()
    return asked == served or asked.startswith(f"{served}-")


def _closest(served: Sequence[str], asked: str) -> str:
    return max((each for each in served if covers(each, asked)), key=len, default="")
