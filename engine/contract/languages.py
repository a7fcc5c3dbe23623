"""Language tags: one canonical spelling of each, and which language serves a request for which.

The registry, its aliases and the likely subtags of BCP-47 are those of `langcodes` (IANA, CLDR).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from langcodes import Language
from langcodes.data_dicts import LIKELY_SUBTAGS
from langcodes.tag_parser import LanguageTagError

EXACT = 0
"""The `language_distance` of two spellings of one tag."""

_LONGEST = 35  # RFC 5646, section 4.4.1, has room for any tag of use in so many characters
_MARKS = 4  # characters around a code, as of ">>fra<<"
_REMEMBERED = 4096

# How checkpoints mark codes: Marian's ">>fra<<", M2M100's "__fr__", MADLAD-400's "<2fr>".
_MARKED = re.compile(r">>(.+)<<|__(.+)__|<2(.+)>")
_NO_REGION = ("XX", "ZZ")  # mBART's "fr_XX"

# Codes of OPUS-MT and M2M100 that no registry has so.
_OWN = {"pob": "pt-BR", "ns": "nso"}
# Individual languages that CLDR does not count as their macrolanguage, and checkpoints do.
# "no" is written in Bokmål.
_SAME = {"no": "nb", "fuv": "ff", "pbt": "ps", "quy": "qu", "zlm": "ms"}
_UNDETERMINED = ("und", "mis", "zxx")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
# Korean is Hangul with or without Chinese characters.
_SAME_SCRIPT = {"Hang": "Kore"}


class InvalidLanguageTagError(ValueError):
    """The code is no language's; the message quotes it."""


@dataclass(frozen=True)
class LanguageTag:
    """The parts of a canonical tag.

    Where it names no script, `script` is the one that it implies, "" where that is not known.
    """

    tag: str
    language: str
    script: str
    region: str
    likely_region: str
    variants: tuple[str, ...]


def canonical_tag(code: str) -> str:
    """The canonical BCP-47 tag of a code in any spelling that BCP-47 or a checkpoint has.

    Aliases get their present name ("iw" is "he", "cmn" is "zh"), "no" is "nb", individual languages
    that stand for their macrolanguage are it ("arb" is "ar"). A script stays where it is not the
    one that language and region imply ("fra_Latn" is "fr", "sr-Latn" stays). The regions of Chinese
    stand for its scripts ("zh_CN" is "zh-Hans", "zh-HK" is "zh-Hant-HK"); those of other languages
    stay ("pt-BR", ">>pob<<").

    Raises:
        InvalidLanguageTagError: it is no language's.

    """
    return read_tag(code).tag


def base_language(code: str) -> str:
    """The language alone of a code in any spelling: "pt" of "pt-BR".

    Raises:
        InvalidLanguageTagError: it is no language's.

    """
    return read_tag(code).language


def is_documented(code: str) -> bool:
    """Whether CLDR knows how the language is written; it knows that of no group, such as "roa".

    Raises:
        InvalidLanguageTagError: it is no language's.

    """
    return base_language(code) in LIKELY_SUBTAGS


def language_distance(served: str, asked: str) -> int | None:
    """How far a language that a model has is from the one that a request asks for.

    From near to far: the same tag, `EXACT`; the same by what both imply ("zh" and "zh-Hans"); the
    language without region or variant for one with it ("pt" serves "pt-BR"); for a request that
    names no region, the language in its likely region ("pt-BR" serves "pt"), then in any other
    ("pt-PT" serves "pt"). None, that is not served: another language ("nn" and "nb"), another
    script ("zh-Hant" and "zh", "sr" and "sr-Latn"), another region ("pt-PT" and "pt-BR").
    """
    try:
        mine, yours = read_tag(served), read_tag(asked)
    except InvalidLanguageTagError:
        return EXACT if served.casefold() == asked.casefold() else None
    if mine.tag == yours.tag:
        return EXACT
    scripts = {mine.script, yours.script} - {""}
    if mine.language != yours.language or len(scripts) > 1:
        return None
    if mine.variants and mine.variants != yours.variants:
        return None
    if mine.region == yours.region:
        return 1 if mine.variants == yours.variants else 2
    if not mine.region:
        return 2
    if not yours.region:
        return 3 if mine.region == yours.likely_region else 4
    return None


def read_tag(code: str) -> LanguageTag:
    """The parts of a code in any spelling.

    Raises:
        InvalidLanguageTagError: it is no language's.

    """
    # Of what callers send, nothing long is split or remembered.
    bare = code.strip()
    if len(bare) > _LONGEST + _MARKS:
        raise _invalid(bare)
    return _read(bare)


@lru_cache(_REMEMBERED)
def _read(code: str) -> LanguageTag:
    found = _parsed(code)
    language = _SAME.get(found.language or "", found.language or "")
    region = found.territory or ""
    variants = tuple(found.variants or ())
    implied = _likely(language, "", region)[0]
    script = _SAME_SCRIPT.get(found.script or "", found.script or implied)
    shown = "" if script == implied else script
    if language == "zh" and (region or found.script):
        shown = script
        region = "" if region == _likely(language, script)[1] else region
    made = Language.make(language, script=shown or None, territory=region or None)
    return LanguageTag(
        tag="-".join([made.to_tag(), *variants]),
        language=language,
        script=script,
        region=region,
        likely_region=_likely(language, script)[1],
        variants=variants,
    )


def _parsed(code: str) -> Language:
    for remembered in (Language._INSTANCES, Language._PARSE_CACHE):
        if len(remembered) > _REMEMBERED:  # langcodes forgets nothing by itself
            remembered.clear()
    marked = _MARKED.fullmatch(code)
    bare = next(filter(None, marked.groups())) if marked else code
    bare = _OWN.get(bare.lower(), bare).replace("_", "-")
    parts = [part for part in bare.split("-") if part.upper() not in _NO_REGION]
    try:
        if len(bare) > _LONGEST or not bare.isascii():
            raise LanguageTagError(bare)
        found = Language.get("-".join(parts))
        if found.extlangs:  # "zh-yue" is "yue"
            found = found.update(Language.get(found.extlangs[-1]))
        found = found.prefer_macrolanguage()
    except LanguageTagError as error:
        raise _invalid(code) from error
    language = found.language or ""
    if not _LANGUAGE.fullmatch(language) or language in _UNDETERMINED or not found.is_valid():
        raise _invalid(code)
    return found


def _invalid(code: str) -> InvalidLanguageTagError:
    shown = code if len(code) <= _LONGEST else f"{code[:_LONGEST]}..."
    return InvalidLanguageTagError(
        f"{shown!r} is no language: give a BCP-47 tag, such as en, pt-BR or zh-Hant"
    )


def _likely(language: str, script: str, region: str = "") -> tuple[str, str]:
    """The script and the region that are likely for a language; "" where CLDR does not know it."""
    if language not in LIKELY_SUBTAGS:
        return script, region
    full = Language.make(language, script=script or None, territory=region or None).maximize()
    return full.script or "", full.territory or ""
