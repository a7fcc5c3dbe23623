from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, failure
from seqway.v1 import generation_pb2 as generation
from seqway.v1 import translation_pb2 as pb

from engine.contract.options import Options
from services.gateway.api.requests import generation_of
from services.inference.errors import InvalidOptionError
from tests.services.twin import many_to_many

Message = generation.GenerationOptions


def request(text: str, source: str = "en", target: str = "fr", **options: Any) -> Any:
    return pb.TranslateRequest(
        contents=[text],
        source_language_code=source,
        target_language_code=target,
        options=Message(**options),
    )


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens", "at least 0"),
        ({"min_new_tokens": -1}, "min_new_tokens", "at least 0"),
        (
            {"min_new_tokens": 9, "max_new_tokens": 8},
            "min_new_tokens",
            "max_new_tokens, 8",
        ),
        ({"priority": 9}, "priority", "no such"),
        ({"num_beams": 100}, "num_beams", "from 1 to 8, not 100"),
        ({"num_beams": 0}, "num_beams", "from 1 to 8"),
        ({"num_hypotheses": 9}, "num_hypotheses", "from 1 to 8"),
        ({"num_hypotheses": 4, "num_beams": 3}, "num_hypotheses", "more than num_beams, 3"),
        ({"num_hypotheses": 2, "sampling": {}}, "num_hypotheses", "beam search"),
        ({"num_beams": 2, "sampling": {}}, "num_beams", "sampling"),
        ({"length_penalty": float("nan")}, "length_penalty", "number from"),
        ({"early_stopping": 7}, "early_stopping", "no such"),
        ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size", "at least 0"),
        ({"repetition_penalty": 0}, "repetition_penalty", "from 0.01 to 100"),
        ({"length_penalty": 10.5}, "length_penalty", "from -10 to 10, not 10.5"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty", "number from"),
        ({"sampling": {"temperature": 0}}, "sampling.temperature", "from 0.001 to 1000"),
        ({"sampling": {"temperature": 1e-40}}, "sampling.temperature", "from 0.001 to 1000"),
        ({"sampling": {"top_k": -1}}, "sampling.top_k", "at least 0"),
        ({"sampling": {"top_p": 1.5}}, "sampling.top_p", "at most 1"),
        ({"sampling": {"top_p": float("nan")}}, "sampling.top_p", "at most 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words) as wrong:
        generation_of(Message(**options))
    assert wrong.value.field == f"options.{field}"
    assert str(wrong.value).startswith(f"options.{field} ")


def test_unknown_options_are_refused() -> None:
    later = Message.FromString(b"\xf8\x06\x01")  # field 111
    with pytest.raises(InvalidOptionError, match="field number 111"):
        generation_of(later)
    nested = Message.FromString(b"\x42\x03\xf8\x06\x01")
    with pytest.raises(InvalidOptionError) as wrong:
        generation_of(nested)
    assert wrong.value.field == "options.sampling"


def test_nothing_set_is_nothing_asked() -> None:
    assert generation_of(Message()) == Options()


def test_everything_set_is_asked() -> None:
    options = Message(
        max_new_tokens=9,
        priority=generation.PRIORITY_BULK,
        min_new_tokens=2,
        length_penalty=-1.5,
        early_stopping=generation.EARLY_STOPPING_NEVER,
        sampling={"temperature": 0.5, "top_k": 0, "top_p": 0.9, "seed": 2**64 - 1},
        no_repeat_ngram_size=3,
        repetition_penalty=1.2,
        target_prefix="Ah",
        token_log_probs=True,
        stop_repetition=False,
    )
    assert generation_of(options).as_dict() == {
        "stream": False,
        "max_new_tokens": 9,
        "priority": "bulk",
        "min_new_tokens": 2,
        "length_penalty": -1.5,
        "early_stopping": "never",
        "sample": True,
        "temperature": 0.5,
        "top_k": 0,
        "top_p": 0.9,
        "seed": 2**64 - 1,
        "no_repeat_ngram_size": 3,
        "repetition_penalty": 1.2,
        "target_prefix": "Ah",
        "token_log_probs": True,
        "stop_repetition": False,
    }


async def test_beams_of_a_hundred_are_refused(stack: Stack) -> None:
    call = stack.translation.Translate(request("a", num_beams=100))
    assert await failure(call) == ("INVALID_ARGUMENT", "INVALID_OPTION", "options.num_beams")
    assert stack.twin.requests == 0


async def test_what_the_model_cannot_do_is_the_callers_mistake(stack: Stack) -> None:
    stack.twin.refusal = "num_hypotheses is 3, more than num_beams, 1"
    stack.twin.refused_option = "num_hypotheses"
    call = stack.translation.Translate(request("a", num_hypotheses=3))
    assert await failure(call) == ("INVALID_ARGUMENT", "INVALID_OPTION", "options.num_hypotheses")


async def test_answers_carry_their_probabilities(stack: Stack) -> None:
    call = request("One two. Three.", num_beams=2, num_hypotheses=2, token_log_probs=True)
    [answer] = (await stack.translation.Translate(call)).translations
    first, second = answer.segments
    assert (first.log_prob, second.log_prob, first.score) == (-1.0, -0.5, -1.0)
    assert [(t.text, t.id, t.log_prob) for t in second.tokens] == [("THREE.", 6, -0.5)]
    assert [(h.text, h.score) for h in first.alternatives] == [("ONE TWO. #1", -2.0)]


async def test_the_prefix_is_for_the_first_segment(stack: Stack) -> None:
    call = request("One. Two. Three.", target_prefix="Well")
    [answer] = (await stack.translation.Translate(call)).translations
    assert answer.text == "Well ONE. TWO. THREE."
    prefixes = sorted(options.get("target_prefix", "") for options in stack.twin.options)
    assert prefixes == ["", "Well"]


async def test_a_seed_is_one_for_each_sentence_and_does_not_depend_on_requests(
    make_stack: MakeStack,
) -> None:
    text = " ".join(f"Sentence {n}." for n in range(40))
    seen = []
    for size in (3, 64):
        stack = await make_stack(max_segments_in_flight=size)
        await stack.translation.Translate(request(text, sampling={"seed": 5}))
        assert all(each["sample"] for each in stack.twin.options)
        pairs = zip(stack.twin.texts, (o["seed"] for o in stack.twin.options), strict=True)
        seen.append(dict(pairs))
    assert seen[0] == seen[1] and len(set(seen[0].values())) == 40
    assert seen[0]["Sentence 0."] == 5


async def test_many_to_many_models_get_their_own_codes(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[many_to_many()])
    await stack.translation.Translate(request("a", source="de-AT", target="pt_BR"))
    [sent] = stack.twin.options
    assert (sent["source_language"], sent["target_language"]) == ("de", "pt-BR")


async def test_a_loop_is_worse_than_a_length_and_said(stack: Stack) -> None:
    stack.twin.failing = "REPETITION"
    answer = await stack.translation.Translate(request("a. b."))
    [translation] = answer.translations
    assert translation.finish_reason == generation.FINISH_REASON_REPETITION
    assert translation.segments[0].finish_reason == generation.FINISH_REASON_REPETITION
