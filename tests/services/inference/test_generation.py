import pytest

from engine.contract.events import Alternative, End, FinishReason, Token, worst
from engine.contract.options import Options
from services.inference.errors import ModelFailedError
from services.inference.rows.run import field_of
from services.inference.rows.window import row_seed
from services.inference.triton.wire import events_of


def test_only_what_is_set_is_sent() -> None:
    assert Options().as_dict() == {"stream": False}
    chosen = Options(num_beams=1, min_new_tokens=0, early_stopping=False, length_penalty=0.0)
    assert chosen.as_dict() == {
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
    rising = [
        FinishReason.EOS,
        FinishReason.LENGTH,
        FinishReason.REPETITION,
        FinishReason.CANCELLED,
        FinishReason.ERROR,
    ]
    for index, reason in enumerate(rising):
        assert all(worst(reason, other) is reason for other in rising[: index + 1])
        assert all(worst(reason, other) is other for other in rising[index:])


def test_an_end_with_everything() -> None:
    payload = b"""[{"type": "end", "i": 2, "text": "ab", "finish_reason": "REPETITION",
        "score": -1.0, "log_prob": -2.0, "tokens": [[5, "a", -0.5]],
        "alternatives": [{"text": "c", "score": -3, "log_prob": -6, "token_ids": [1],
                          "tokens": [[1, "c", -6.0]]}],
        "alignment": [[0, 1, 4, 5, 0.75]]}]"""
    [end] = events_of(payload)
    assert isinstance(end, End) and end.finish_reason is FinishReason.REPETITION
    assert end.tokens == (Token(5, "a", -0.5),) and end.log_prob == -2.0
    assert end.alternatives == (Alternative("c", -3, -6, (1,), (Token(1, "c", -6.0),)),)
    assert end.alignment == ((0, 1, 4, 5, 0.75),)


@pytest.mark.parametrize(
    "field", ['"tokens": [[1]]', '"alignment": [[1, 2]]', '"alternatives": [3]']
)
def test_a_broken_end_is_the_models_fault(field: str) -> None:
    with pytest.raises(ModelFailedError):
        events_of(f'[{{"type": "end", "i": 0, "finish_reason": "EOS", {field}}}]'.encode())


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("num_beams", "options.num_beams"),
        ("target_language", "target_language_code"),
        ("top_k", "options.sampling.top_k"),
        ("", "options"),
    ],
)
def test_a_refusal_names_the_callers_field(option: str, field: str) -> None:
    assert field_of(option) == field
