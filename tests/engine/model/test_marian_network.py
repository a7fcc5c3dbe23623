"""Whether the network that is made of Marian's files is the one that they describe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.engine.model.marian_files import (
    CONFIG,
    HEADS,
    PIECES,
    SOURCE_PIECES,
    WIDTH,
    Student,
    loaded,
    make_student,
    rounded,
    write_folder,
)

Array = NDArray[np.float64]


class Reference:
    """The network as it is described, in NumPy and FP64, for one text."""

    def __init__(self, student: Student) -> None:
        self.of = {name: values.astype(np.float64) for name, values in student.tensors.items()}
        self.table = self.of["decoder_Wemb" if "decoder_Wemb" in self.of else "Wemb"]
        self.source_table = self.of["encoder_Wemb" if "encoder_Wemb" in self.of else "Wemb"]
        self.is_recurrent = student.config["transformer-decoder-autoreg"] == "rnn"

    def logits(self, source: list[int], target: list[int]) -> Array:
        """Of the token after the start and after each of `target`."""
        memory = self.embedded([self.source_table[token] for token in source])
        for layer in range(1, CONFIG["enc-depth"] + 1):
            here = f"encoder_l{layer}"
            memory = self.norm(
                f"{here}_self_Wo", memory + self.attend(f"{here}_self", memory, memory)
            )
            memory = self.feed_forward(here, memory)
        x = self.embedded([np.zeros(WIDTH), *(self.table[token] for token in target)])
        for layer in range(1, CONFIG["dec-depth"] + 1):
            here = f"decoder_l{layer}"
            if self.is_recurrent:
                x = self.norm(f"{here}_rnn_ffn", x + self.recur(here, x))
            else:
                x = self.norm(f"{here}_self_Wo", x + self.attend(f"{here}_self", x, x, causal=True))
            x = self.norm(f"{here}_context_Wo", x + self.attend(f"{here}_context", x, memory))
            x = self.feed_forward(here, x)
        logits: Array = x @ self.table.T + self.of["decoder_ff_logit_out_b"]
        return logits

    def embedded(self, rows: list[Array]) -> Array:
        half = WIDTH // 2
        angles = np.arange(len(rows))[:, None] * np.exp(
            -np.log(10000) / (half - 1) * np.arange(half)
        )
        return np.stack(rows) * WIDTH**0.5 + np.hstack([np.sin(angles), np.cos(angles)])

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
        return scaled * self.of[f"{name}_ln_scale"] + self.of[f"{name}_ln_bias"]

    def attend(self, name: str, x: Array, memory: Array, causal: bool = False) -> Array:
        def heads(part: str, rows: Array) -> Array:
            made = rows @ self.of[f"{name}_W{part}"] + self.of[f"{name}_b{part}"]
            return made.reshape(len(rows), HEADS, -1).transpose(1, 0, 2)

        scores = heads("q", x) @ heads("k", memory).transpose(0, 2, 1) / (WIDTH // HEADS) ** 0.5
        if causal:
            scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        joined = (weights @ heads("v", memory)).transpose(1, 0, 2).reshape(len(x), -1)
        made: Array = joined @ self.of[f"{name}_Wo"] + self.of[f"{name}_bo"]
        return made

    def recur(self, here: str, x: Array) -> Array:
        kept = 1 / (1 + np.exp(-(x @ self.of[f"{here}_rnn_Wf"] + self.of[f"{here}_rnn_bf"])))
        new, state, made = x @ self.of[f"{here}_rnn_W"], np.zeros(WIDTH), []
        for position in range(len(x)):
            state = kept[position] * state + (1 - kept[position]) * new[position]
            made.append(np.maximum(state, 0))
        return np.stack(made)

    def feed_forward(self, here: str, x: Array) -> Array:
        name = f"{here}_ffn"
        hidden = np.maximum(x @ self.of[f"{name}_W1"] + self.of[f"{name}_b1"], 0)
        return self.norm(f"{name}_ffn", x + hidden @ self.of[f"{name}_W2"] + self.of[f"{name}_b2"])


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
