"""Summaries and classes of real descriptions, through the real stack."""

import json

import pytest
from seqway import Client, FinishReason, GenerationOptions, InvalidRequestError, NotFoundError

from deploy.local.settings import ROOT

DATA = ROOT / "examples" / "data"


def read(name: str, count: int) -> list[dict[str, str]]:
    lines = (DATA / f"{name}.test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:count]]


def test_summarizes_and_streams_the_same(client: Client) -> None:
    texts = [row["source"] for row in read("deb-summary", 8)]
    answer = client.summarize(texts)
    assert answer.model.startswith("deb-summary_")
    for text, summary in zip(texts, answer.summaries, strict=True):
        assert summary.text
        assert len(summary.text) < len(text)
        assert not summary.dropped
        assert summary.levels == 0
        assert [(part.source_start, part.source_end) for part in summary.parts] == [(0, len(text))]
        assert "".join(client.stream_summarize(text).text()) == summary.text


def test_length_controls_the_summary(client: Client) -> None:
    text = max((row["source"] for row in read("deb-summary", 50)), key=len)
    limit = 64  # its `generation_config.json`
    short, long = (
        client.summarize(text, length=length).summaries[0] for length in ("short", "long")
    )
    assert short.token_counts.output <= limit // 4
    assert long.token_counts.output >= limit // 4
    exact = client.summarize(text, max_new_tokens=5).summaries[0]
    assert exact.token_counts.output <= 5
    assert exact.finish_reason is FinishReason.LENGTH


def test_an_empty_text_among_others_fails_nothing(client: Client) -> None:
    text = read("deb-summary", 1)[0]["source"]
    empty, whole, blank = client.summarize(["", text, " \n"]).summaries
    assert (empty.text, blank.text) == ("", "")
    assert whole.text == client.summarize(text).summaries[0].text
    classified = client.classify(["", text], top_k=1).classifications
    assert [len(one.labels) for one in classified] == [1, 1]
    assert classified[1].label == client.classify(text, top_k=1).classifications[0].label


def test_classifies_several_texts(client: Client) -> None:
    rows = read("deb-section", 200)
    answer = client.classify([row["source"] for row in rows], top_k=3)
    assert answer.model.startswith("deb-section_")
    right = 0
    for row, result in zip(rows, answer.classifications, strict=True):
        assert len(result.labels) == 3
        assert [one.score for one in result.labels] == sorted(
            (one.score for one in result.labels), reverse=True
        )
        right += result.label == row["target"]
    assert right > len(rows) / 2
    alone = client.classify(rows[0]["source"], top_k=3).classifications[0]
    together = answer.classifications[0]
    assert alone.label == together.label
    assert alone.labels[0].score == pytest.approx(together.labels[0].score, abs=1e-4)


def test_multi_label_scores_each_label_by_itself(client: Client) -> None:
    text = read("deb-section", 1)[0]["source"]
    soft = client.classify(text).classifications[0]
    sigmoid = client.classify(text, multi_label=True, threshold=0.0).classifications[0]
    assert sum(one.score for one in soft.labels) == pytest.approx(1, abs=1e-4)
    assert sigmoid.multi_label
    assert len(sigmoid.labels) == len(soft.labels)


def test_beams_and_alternatives(client: Client) -> None:
    options = GenerationOptions(num_beams=4, num_hypotheses=3, token_log_probs=True)
    answer = client.translate(
        "A small text editor.", source="en", target="fr", model="en-fr_fp32", options=options
    )
    [segment] = answer.translations[0].segments
    assert len(segment.alternatives) == 2
    scores = [segment.score, *(one.score for one in segment.alternatives)]
    assert scores == sorted(scores, reverse=True)
    assert sum(token.log_prob for token in segment.tokens) == pytest.approx(
        segment.log_prob, abs=1e-3
    )
    assert "".join(token.text for token in segment.tokens).strip() == answer.text


def test_a_translation_says_how_good_it_is_likely_to_be(client: Client) -> None:
    """An answer that is cut by the limit of tokens is worth less than the whole."""
    texts = [row["source"] for row in read("en-fr", 20)]
    whole = client.translate(texts, source="en", target="fr").translations
    cut = client.translate(texts, source="en", target="fr", max_new_tokens=2).translations
    assert all(0 < segment.quality < 1 for one in whole for segment in one.segments)  # type: ignore[operator]
    pairs = zip(whole, cut, strict=True)
    assert sum(a.quality > b.quality for a, b in pairs) >= 18  # type: ignore[operator]
    blank = client.translate(" ", source="en", target="fr").translations[0]
    assert blank.quality is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (GenerationOptions(num_beams=100), "options.num_beams"),
        (GenerationOptions(num_beams=2, num_hypotheses=3), "options.num_hypotheses"),
        (GenerationOptions(min_new_tokens=9, max_new_tokens=3), "options.min_new_tokens"),
        (GenerationOptions(repetition_penalty=-1.0), "options.repetition_penalty"),
    ],
)
def test_wrong_options_are_named(client: Client, options: GenerationOptions, field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        client.translate("A text.", source="en", target="fr", options=options)
    assert raised.value.field == field


def test_a_model_of_another_task_is_not_taken(client: Client) -> None:
    with pytest.raises(NotFoundError, match="deb-section"):
        client.summarize("A text.", model="deb-section")
