"""What the families' tokenizers know of languages: their codes, as BCP-47, and their names."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from engine.contract.languages import (
    InvalidLanguageTagError,
    base_language,
    canonical_tag,
    is_documented,
)

logger = logging.getLogger(__name__)


def _table(pairs: str) -> dict[str, str]:
    """The dictionary of "key:value key:value ..."."""
    return dict(pair.split(":") for pair in pairs.split())


_NAMES = _table(
    """
    af:Afrikaans ar:Arabic be:Belarusian bg:Bulgarian bn:Bengali ca:Catalan cs:Czech cy:Welsh
    da:Danish de:German el:Greek en:English eo:Esperanto es:Spanish et:Estonian eu:Basque
    fa:Persian fi:Finnish fr:French ga:Irish gl:Galician gu:Gujarati he:Hebrew hi:Hindi
    hr:Croatian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic it:Italian ja:Japanese
    ka:Georgian kk:Kazakh ko:Korean la:Latin lt:Lithuanian lv:Latvian mk:Macedonian mr:Marathi
    ms:Malay nb:Norwegian nl:Dutch nn:Norwegian no:Norwegian pl:Polish pt:Portuguese ro:Romanian
    ru:Russian sk:Slovak sl:Slovenian sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil
    te:Telugu th:Thai tr:Turkish uk:Ukrainian ur:Urdu vi:Vietnamese zh:Chinese zu:Zulu
    """
)

# mBART's codes of languages, all with the region of some corpus, and codes of NLLB.
_WITH_REGION = re.compile(r"[a-z]{2}_[A-Z]{2}")
_WITH_SCRIPT = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


def language_name(code: str) -> str | None:
    """The English name of a BCP-47 language, as T5's prefixes have it."""
    return _NAMES.get(code.partition("-")[0])


def bcp47(codes: Iterable[str]) -> dict[str, str]:
    """The canonical tags of a checkpoint's own codes, such as "fr" of "fra_Latn" and "fr_XX".

    mBART's regions ("de_DE") say nothing where a language has only one, nor do NLLB's scripts where
    it is not known how a language is usually written. Of two codes of one tag the first counts;
    what is no language is left out.
    """
    read = {code: tag for code in codes if (tag := language_tag(code))}
    count = Counter(base_language(tag) for tag in read.values())
    tags: dict[str, str] = {}
    for code, tag in read.items():
        language = base_language(tag)
        if count[language] == 1 and _says_nothing_more(code, tag):
            tag = language
        if tags.setdefault(tag, code) != code:
            logger.info("the code %s is left out: %s is %s, too", code, tags[tag], tag)
    return tags


def _says_nothing_more(code: str, tag: str) -> bool:
    """Whether what a code has beside the language tells nothing."""
    if _WITH_REGION.fullmatch(code):
        return base_language(tag) != "zh"
    return bool(_WITH_SCRIPT.fullmatch(code)) and not is_documented(tag)


def single_language(code: str) -> str | None:
    """The tag of one code; None for a group of languages ("ROMANCE", "mul", "gmw")."""
    tag = language_tag(code)
    return tag if tag and (len(base_language(tag)) == 2 or is_documented(tag)) else None


def language_tag(code: str) -> str | None:
    """The canonical tag of a code in any spelling ("EN", "__en__", "eng"); None: it is none.

    Unlike `single_language`, it takes groups, too: who names one means it.
    """
    try:
        return canonical_tag(code)
    except InvalidLanguageTagError:
        return None


_PAIR = re.compile(r"translation_([A-Za-z_]+?)_to_([A-Za-z_]+)")


def fitting_pairs(hf: Mapping[str, Any], wished: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """The keys of `task_specific_params` that state a pair, with its BCP-47 tags.

    Only pairs of the `wished` source and target, of which "" is any.
    """
    found = {}
    for key in hf.get("task_specific_params") or {}:
        match = _PAIR.fullmatch(key)
        source, target = map(language_tag, match.groups()) if match else (None, None)
        if source and target and wished[0] in ("", source) and wished[1] in ("", target):
            found[key] = source, target
    return found
