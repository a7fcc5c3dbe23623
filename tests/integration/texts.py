"""Real texts of the test set, in the lengths that the tests want."""

import json
import re
from functools import cache

from deploy.local.settings import ROOT

_TEST_SET = ROOT / "examples" / "data" / "en-fr.test.jsonl"
_INNER_SENTENCE_END = re.compile(r"[.!?:;]\s")


@cache
def sources() -> list[str]:
    """The texts of the test set, in its order, each once."""
    lines = _TEST_SET.read_text().splitlines()
    return list(dict.fromkeys(json.loads(line)["source"] for line in lines))


def spread(count: int) -> list[str]:
    """Texts of all lengths."""
    return sources()[:: len(sources()) // count][:count]


def short(count: int) -> list[str]:
    """Texts of one line and a few words."""
    return [text for text in sources() if 20 <= len(text) <= 60 and "\n" not in text][:count]


def long_sentences(count: int) -> list[str]:
    """The longest texts that are one sentence: a row each that runs for many steps."""
    single = [text for text in sources() if not _INNER_SENTENCE_END.search(text)]
    return sorted(single, key=len)[-count:]


def documents(count: int, sentences: int) -> list[str]:
    """Documents of some very long sentences, one a line: a row runs for 100 steps or so."""
    halves = long_sentences(2 * count * sentences)
    pairs = zip(halves[::2], halves[1::2], strict=True)
    lines = [f"{left.rstrip('.')}, and {right}" for left, right in pairs]
    return ["\n".join(lines[number::count]) for number in range(count)]
