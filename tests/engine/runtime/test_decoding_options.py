from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.contract.manifest import Manifest, read_manifest
from engine.contract.options import InvalidOptionsError, Options, parse_options
from engine.runtime.decoding.settings import resolve


@pytest.fixture(scope="module")
def manifest(repository: Path) -> Manifest:
    return replace(read_manifest(repository / "pegasus_fp32" / "1"), generation={})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"num_beams": 0}, "num_beams must be a whole number from 1 to 8"),
        ({"num_beams": 100}, "num_beams must be a whole number from 1 to 8, not 100"),
        ({"num_beams": 2.0}, "num_beams must be a whole number"),
        ({"num_hypotheses": 9}, "num_hypotheses must be a whole number from 1 to 8"),
        ({"temperature": 0}, "temperature must be a number from 0.001 to 1000"),
        ({"temperature": float("nan")}, "temperature must be a number from"),
        ({"temperature": 1e-40}, "temperature must be a number from 0.001"),
        ({"top_p": 1.5}, "top_p must be a number above 0 and at most 1"),
        ({"top_p": 0}, "top_p must be a number above 0"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0"),
        ({"seed": 2**64}, "seed must be a whole number from 0 to 18446744073709551615"),
        ({"seed": [1, -1]}, "seed must be a whole number"),
        ({"sample": "yes"}, "sample must be true or false"),
        ({"early_stopping": "always"}, 'early_stopping must be true, false or "never"'),
        ({"length_penalty": "1"}, "length_penalty must be a number"),
        ({"length_penalty": 11}, "length_penalty must be a number from -10 to 10"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be a number from 0.01 to 100"),
        ({"target_prefix": ["a", 1]}, "target_prefix must be a string or a list of strings"),
        ({"target_language": 5}, "target_language must be a string"),
        ({"num_beam": 4}, "unknown option 'num_beam'"),
    ],
)
def test_an_option_out_of_its_range_is_named(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionsError, match=message.replace("(", r"\(")):
        parse_options(raw)


def test_what_is_not_given_is_left_open() -> None:
    assert parse_options({}) == Options(stream=True)
    assert parse_options({"num_beams": 4, "early_stopping": "never"}) == Options(
        num_beams=4, early_stopping="never", stream=True
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(sample=True, num_beams=4), "sample can't be combined with num_beams 4"),
        (Options(temperature=0.5), "temperature needs sample: true"),
        (Options(top_k=5, sample=False), "top_k needs sample: true"),
        (Options(seed=1), "seed needs sample: true"),
        (Options(num_beams=4, top_p=0.9), "top_p needs sample: true"),
        (Options(length_penalty=0.5), "length_penalty needs num_beams above 1"),
        (Options(early_stopping=True, num_beams=1), "early_stopping needs num_beams above 1"),
        (Options(num_hypotheses=2), "num_hypotheses is 2, but num_beams only 1"),
        (Options(num_beams=4, num_hypotheses=5), "num_hypotheses is 5, but num_beams only 4"),
        (Options(min_new_tokens=9, max_new_tokens=8), "min_new_tokens is 9, above max_new_tokens"),
        (Options(min_new_tokens=9999), "min_new_tokens is 9999, above max_new_tokens .*model's"),
        (Options(source_language="fr", target_language="en"), "does not translate 'fr' to 'en'"),
    ],
)
def test_contradictions_are_refused(manifest: Manifest, options: Options, message: str) -> None:
    with pytest.raises(InvalidOptionsError, match=message):
        resolve(options, manifest)


def test_the_request_goes_before_the_manifest(manifest: Manifest) -> None:
    summarizer = replace(
        manifest,
        generation={
            "num_beams": 4,
            "length_penalty": 2.0,
            "min_new_tokens": 20,
            "max_new_tokens": 30,
            "no_repeat_ngram_size": 3,
            "forced_eos_id": 1,
            "bad_words": [[5, 6], [manifest.eos_id]],
        },
    )
    usual = resolve(Options(), summarizer)
    assert (usual.num_beams, usual.length_penalty, usual.max_new_tokens) == (4, 2.0, 30)
    assert (usual.forced_eos_id, usual.bad_words) == (1, ((5, 6),))
    assert resolve(Options(length_penalty=0.5), summarizer).length_penalty == 0.5
    assert resolve(Options(max_new_tokens=10), summarizer).min_new_tokens == 10
    longest = resolve(Options(max_new_tokens=0), summarizer).max_new_tokens
    assert longest == summarizer.max_target_tokens
    sampled = resolve(Options(sample=True, temperature=0.7), summarizer)
    assert (sampled.num_beams, sampled.sample) == (1, True)


def test_beams_that_are_asked_for_go_before_a_manifest_that_samples(manifest: Manifest) -> None:
    sampling = replace(manifest, generation={"sample": True, "top_p": 0.9})
    assert resolve(Options(), sampling).sample
    assert resolve(Options(top_k=3, seed=4), sampling).top_k == 3
    assert resolve(Options(num_beams=1), sampling).sample
    assert not resolve(Options(num_beams=2), sampling).sample


def test_a_model_of_many_languages_must_be_told_which(manifest: Manifest) -> None:
    many = replace(
        manifest,
        language_pairs=[],
        source_languages=["en", "de"],
        target_languages=["en", "de"],
        forced_bos_ids={"en": 4, "de": 5},
    )
    assert resolve(Options(source_language="en", target_language="de"), many).forced_bos_id == 5
    with pytest.raises(InvalidOptionsError, match="target_language must be set"):
        resolve(Options(), many)
    with pytest.raises(InvalidOptionsError, match="target_language 'xx' is not one of"):
        resolve(Options(target_language="xx"), many)
