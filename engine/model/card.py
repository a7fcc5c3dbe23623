"""What the card of a checkpoint says of its languages: the `README.md` that the hub shows."""

import re
from pathlib import Path

import yaml

CARD_FILE = "README.md"

# OPUS-MT writes "* source language(s): fra spa" or "* source languages: fr,es" into its cards.
_SOURCES = re.compile(
    r"^[ \t*-]*source languages?(?:\(s\))?[ \t*]*:[ \t*:]*(\S.*)$", re.MULTILINE | re.I
)
_CODE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]+)*")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LONGEST = 1_000_000


def stated_sources(folder: Path) -> list[str]:
    """The codes of the languages that a card says a checkpoint translates from, as it spells them.

    Where no line says so by codes, those of its metadata, which may have the target's among them.
    Empty without a card, or where it says nothing.
    """
    try:
        with (folder / CARD_FILE).open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST)
    except OSError:
        return []
    found = _SOURCES.search(text)
    words = re.split(r"[,\s]+", found[1].strip()) if found else []
    return [word for word in words if _CODE.fullmatch(word)] or _languages_of(text)


def _languages_of(text: str) -> list[str]:
    found = _FRONT_MATTER.match(text)
    try:
        content = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    stated = content.get("language") if isinstance(content, dict) else None
    # YAML takes Norwegian, "no", for false.
    codes = ["no" if code is False else code for code in stated] if isinstance(stated, list) else []
    return [code for code in codes if isinstance(code, str)]
