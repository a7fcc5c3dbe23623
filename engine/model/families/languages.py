"""What the families' tokenizers know of languages: their codes, as BCP-47, and their names."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def _table(pairs: str) -> dict[str, str]:
    """The dictionary of "key:value key:value ..."."""
    return dict(pair.split(":") for pair in pairs.split())


# ISO 639-3 to ISO 639-1, where there is one. Individual languages that checkpoints use for their
# macrolanguage (arb for Arabic, pes for Persian, ...) count as it.
_TWO_LETTERS = _table(
    """
    aar:aa abk:ab afr:af aka:ak amh:am ara:ar arb:ar arg:an asm:as ava:av aym:ay ayr:ay aze:az
    azj:az bak:ba bam:bm bel:be ben:bn bih:bh bis:bi bod:bo bos:bs bre:br bul:bg cat:ca ces:cs
    cha:ch che:ce chv:cv cor:kw cos:co cre:cr cym:cy dan:da deu:de div:dv dzo:dz ell:el eng:en
    epo:eo est:et ekk:et eus:eu ewe:ee fao:fo fas:fa pes:fa fij:fj fin:fi fra:fr fry:fy ful:ff
    fuv:ff gla:gd gle:ga glg:gl glv:gv grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho
    hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu ina:ia ind:id ipk:ik isl:is ita:it jav:jv
    jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr knc:kr kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv
    kon:kg kor:ko kua:kj kur:ku kmr:ku lao:lo lat:la lav:lv lvs:lv lim:li lin:ln lit:lt ltz:lb
    lub:lu lug:lg mah:mh mal:ml mar:mr mkd:mk mlg:mg plt:mg mlt:mt mon:mn khk:mn mri:mi msa:ms
    zsm:ms zlm:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne npi:ne nld:nl nno:nn nob:nb
    nor:no nya:ny oci:oc oji:oj ori:or ory:or orm:om gaz:om oss:os pan:pa pli:pi pol:pl por:pt
    pus:ps pbt:ps que:qu quy:qu roh:rm ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl
    sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq als:sq srd:sc srp:sr ssw:ss sun:su
    swa:sw swh:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn
    tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz ven:ve vie:vi vol:vo wln:wa
    wol:wo xho:xh yid:yi ydd:yi yor:yo zha:za cmn:zh zho:zh zul:zu
    """
)

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

# Codes of more than one language, as in opus-mt-en-ROMANCE.
_GROUP = re.compile(r"[A-Z]{3,}|mul|[a-z]{3}")


def language_name(code: str) -> str | None:
    """The English name of a BCP-47 language, as T5's prefixes have it."""
    return _NAMES.get(code.partition("-")[0])


def bcp47(codes: Iterable[str]) -> dict[str, str]:
    """BCP-47 tags of a checkpoint's own codes: "fra_Latn", "fr_XX", "fr", ">>fra<<" are all "fr".

    A script or a region stays where the checkpoint tells several of one language apart:
    "zho_Hans" is "zh-Hans". Two codes of one tag keep their three letters, but the first.
    """
    codes = list(codes)
    count = Counter(_language(code) for code in codes)
    tags: dict[str, str] = {}
    for code in codes:
        tag = _tag(code) if count[_language(code)] > 1 else _language(code)
        if tag in tags:
            tag = "-".join(re.split("[_-]", code.strip("<>")))
        tags.setdefault(tag, code)
    return tags


def single_language(code: str) -> str | None:
    """The BCP-47 tag of one code; None for a group of languages ("ROMANCE", "mul", "gmw")."""
    tag = _tag(code)
    language = tag.partition("-")[0]
    return None if _GROUP.fullmatch(language) and language not in _KEPT else tag


def language_tag(code: str) -> str | None:
    """The BCP-47 tag of a code in any spelling ("EN", "__en__", "en_XX", "eng"); None: it is none.

    Unlike `single_language`, it takes groups, too: who names one means it.
    """
    language, *rest = re.split("[_-]", code.strip("_<>"))
    tag = _tag("-".join([language.lower(), *rest]))
    return tag if _BCP47.fullmatch(tag) else None


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


_BCP47 = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


# Languages of three letters that OPUS-MT names, which are none of its groups.
_KEPT = {"ceb", "ilo", "pap", "war", "tpi", "tum", "kea", "crs", "pag", "hil", "fil", "bcl", "ast"}


def _language(code: str) -> str:
    first = re.split("[_-]", code.strip("<>"))[0]
    return _TWO_LETTERS.get(first.lower(), first)


def _tag(code: str) -> str:
    """Language, script and region; mBART's region "XX" is none."""
    _, *parts = re.split("[_-]", code.strip("<>"))
    kept = [part.title() if len(part) == 4 else part.upper() for part in parts if part != "XX"]
    return "-".join([_language(code), *kept])
