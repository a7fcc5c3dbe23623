"""A text of 20,000 words: nothing is dropped unsaid."""

import itertools
import json
from functools import cache

from seqway import Client, FinishReason

from deploy.local.settings import ROOT

WORDS = 20_000
TIMEOUT = 280.0


@cache
def document() -> str:
    """Real descriptions, a paragraph each."""
    path = ROOT / "examples" / "data" / "deb-summary.test.jsonl"
    sources = [json.loads(line)["source"] for line in path.read_text(encoding="utf-8").splitlines()]
    paragraphs: list[str] = []
    count = 0
    for source in itertools.cycle(sources):
        paragraphs.append(" ".join(source.split()))
        count += len(paragraphs[-1].split())
        if count >= WORDS:
            return "\n\n".join(paragraphs)
    raise AssertionError


def test_is_translated(client: Client) -> None:
    text = document()
    answer = client.translate(text, source="en", target="fr", model="en-fr_int8", timeout=TIMEOUT)
    [translation] = answer.translations
    end = 0
    for segment in translation.segments:
        assert not text[end : segment.source_start].strip(" \n*+-•0123456789.)")
        end = segment.source_end
    assert not text[end:].strip()
    assert translation.text.count("\n\n") == text.count("\n\n")
    stopped = [one for one in translation.segments if one.finish_reason is not FinishReason.EOS]
    assert len(stopped) <= len(translation.segments) / 50
    if stopped:
        assert translation.finish_reason is not FinishReason.EOS


def test_is_summarized(client: Client) -> None:
    text = document()
    [summary] = client.summarize(text, timeout=TIMEOUT).summaries
    assert summary.text
    assert summary.levels >= 1
    assert summary.warnings
    seen = sorted(
        [(part.source_start, part.source_end) for part in summary.parts]
        + [(span.source_start, span.source_end) for span in summary.dropped]
    )
    end = 0
    for start, stop in seen:
        assert not text[end:start].strip()
        end = stop
    assert not text[end:].strip()


def test_is_classified(client: Client) -> None:
    [result] = client.classify(document(), timeout=TIMEOUT).classifications
    assert result.windows > 20
    assert result.input_tokens > WORDS
    assert result.warnings
    assert result.label
