import pytest

from services.inference.errors import ModelFailedError
from services.inference.rows.events import End, FinishReason, Hypothesis, Token, parse_events
from services.inference.rows.generation import Generation, row_seed
from services.inference.rows.refusals import invalid_options


def test_only_what_is_set_is_sent() -> None:
    assert Generation().options() == {"stream": False}
    chosen = Generation(num_beams=1, min_new_tokens=0, early_stopping=False, length_penalty=0.0)
    assert chosen.options() == {
        "stream": False,
        "num_beams": 1,
        "min_new_tokens": 0,
        "early_stopping": False,
        "length_penalty": 0.0,
    }


def test_rows_draw_apart_and_the_first_has_the_seed() -> None:
    assert row_seed(None, 3, 4) is None
    assert row_seed(7, 0, 0) == 7
    seeds = {row_seed(7, content, start) for content in range(9) for start in range(9)}
    assert len(seeds) == 81 and all(0 <= seed < 2**64 for seed in seeds if seed is not None)
    assert row_seed(7, 2, 5) == row_seed(7, 2, 5) != row_seed(8, 2, 5)


def test_severity_of_finish_reasons() -> None:
    names = ["EOS", "LENGTH", "REPETITION", "CANCELLED", "ERROR"]
    assert [reason.name for reason in sorted(FinishReason)] == names


def test_an_end_with_everything() -> None:
    payload = b"""[{"type": "end", "i": 2, "text": "ab", "finish_reason": "REPETITION",
        "score": -1.0, "log_prob": -2.0, "tokens": [[5, "a", -0.5]],
        "alternatives": [{"text": "c", "score": -3, "log_prob": -6, "token_ids": [1],
                          "tokens": [[1, "c", -6.0]]}],
        "alignment": [[0, 1, 4, 5, 0.75]]}]"""
    [end] = parse_events(payload)
    assert isinstance(end, End) and end.finish_reason is FinishReason.REPETITION
    assert end.tokens == [Token(5, "a", -0.5)] and end.log_prob == -2.0
    assert end.alternatives == [Hypothesis("c", -3, -6, [Token(1, "c", -6.0)])]
    assert end.alignment == [(0, 1, 4, 5, 0.75)]


@pytest.mark.parametrize(
    "field", ['"tokens": [[1]]', '"alignment": [[1, 2]]', '"alternatives": [3]']
)
def test_a_broken_end_is_the_models_fault(field: str) -> None:
    with pytest.raises(ModelFailedError):
        parse_events(f'[{{"type": "end", "i": 0, "finish_reason": "EOS", {field}}}]'.encode())


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("num_beams must be 1", "options.num_beams"),
        ("the model does not know the target_language 'xx'", "target_language_code"),
        ("top_k needs sample", "options.sampling.top_k"),
        ("no", "options"),
    ],
)
def test_a_refusal_names_the_callers_field(message: str, field: str) -> None:
    error = invalid_options(message)
    assert (str(error), error.field) == (message, field)
