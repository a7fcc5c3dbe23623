"""Whether the network that is made of Marian's files is the one that they describe."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.model.marian_files import (
    PIECES,
    SOURCE_PIECES,
    Reference,
    loaded,
    make_student,
    rounded,
    write_folder,
)


@pytest.mark.parametrize("source_pieces", [0, SOURCE_PIECES, PIECES + 50])
@pytest.mark.parametrize("unit", ["rnn", "self-attention"])
def test_the_network_is_the_one_that_is_described(
    unit: str, source_pieces: int, tmp_path: Path
) -> None:
    student = make_student(unit, source_pieces=source_pieces)
    checkpoint = loaded(write_folder(tmp_path, student))
    assert checkpoint.config.decoder_unit == ("ssru" if unit == "rnn" else "attention")
    last = (source_pieces or PIECES) - 1
    source, target = [5, 17, 200, 3, last, 0], [9, 8, 7, 250, 2, 1, PIECES - 1, 0]
    expected = Reference(student).logits(source, target)
    ids = torch.tensor([source])
    start = checkpoint.config.decoder_start_id
    with torch.no_grad():
        made = checkpoint.transformer(
            ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([[start, *target]])
        )[0].numpy()
    np.testing.assert_allclose(made[:, :PIECES], expected, rtol=0, atol=1e-4)
    assert (made[:, PIECES:] == -np.inf).all()


def test_the_head_of_two_vocabularies_has_the_scales_of_the_answers(tmp_path: Path) -> None:
    student = rounded(make_student(source_pieces=SOURCE_PIECES))
    scales = loaded(write_folder(tmp_path, student)).int8_scales
    assert scales["head"].weight == pytest.approx(1 / student.multipliers["decoder_Wemb"])
    assert scales["head"].input == pytest.approx(1 / student.inputs["decoder_Wemb"])
    assert student.multipliers["decoder_Wemb"] != student.multipliers["encoder_Wemb"]
    assert len(scales) == len(student.integers) - 1  # sources are looked up, not multiplied


def test_only_a_file_with_all_its_scales_brings_any(tmp_path: Path) -> None:
    whole = rounded(make_student())
    scales = loaded(write_folder(tmp_path / "whole", whole)).int8_scales
    assert scales["decoder.1.recurrence.sublayer.forget"].weight == pytest.approx(
        1 / whole.multipliers["decoder_l2_rnn_Wf"]
    )
    assert scales["head"].input == pytest.approx(1 / whole.inputs["Wemb"])
    assert len(scales) == len(whole.integers)
    del whole.inputs["encoder_l1_ffn_W1"]
    assert not loaded(write_folder(tmp_path / "part", whole)).int8_scales
    assert not loaded(write_folder(tmp_path / "floats", make_student())).int8_scales
