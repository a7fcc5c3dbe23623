"""Small random models in Marian's own files, written from its description and not by our reader."""

import gzip
import io
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import sentencepiece
import yaml
from numpy.typing import NDArray

from engine.model.checkpoint import Checkpoint, load_checkpoint
from engine.model.marian.folder import find, write_checkpoint
from tests.engine.conftest import DATA

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

WIDTH, HIDDEN, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 32, 48, 4, 2, 2
PIECES = 400
SOURCE_PIECES = 300
"""Of a model whose sources have a vocabulary of their own."""

_FLOAT32, _INT8, _INTGEMM8 = 0x404, 0x101, 0x4101

CONFIG: dict[str, Any] = {
    "type": "transformer",
    "dim-emb": WIDTH,
    "dim-vocabs": [PIECES, PIECES],
    "enc-depth": ENCODER_LAYERS,
    "dec-depth": DECODER_LAYERS,
    "transformer-heads": HEADS,
    "transformer-dim-ffn": HIDDEN,
    "transformer-ffn-depth": 2,
    "transformer-ffn-activation": "relu",
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": "",
    "transformer-decoder-autoreg": "rnn",
    "dec-cell": "ssru",
    "enc-cell": "gru",
    "tied-embeddings-all": True,
    "tied-embeddings-src": False,
    "tied-embeddings": False,
    "transformer-tied-layers": [],
    "version": "v1.9.56",
}


@dataclass
class Student:
    """A random model: `tensors` are what its matrices `[in,out]` and vectors `[1,n]` stand for.

    `integers` and `multipliers` are those of the matrices in INT8, `inputs` those of their inputs.
    """

    tensors: dict[str, Array]
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    integers: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    multipliers: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, float] = field(default_factory=dict)


def make_student(unit: str = "rnn", seed: int = 3, source_pieces: int = 0) -> Student:
    """One in floats; `unit` is "rnn" or "self-attention".

    With `source_pieces` sources have so many tokens of their own.
    """
    random = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.normal(0, 1.5 * rows**-0.5, (rows, columns))
        tensors[name] = values.astype(np.float32)

    def vector(name: str, size: int, mean: float = 0.0) -> None:
        tensors[name] = random.normal(mean, 0.3, (1, size)).astype(np.float32)

    def norm(name: str) -> None:
        vector(f"{name}_ln_scale", WIDTH, 1.0)
        vector(f"{name}_ln_bias", WIDTH)

    def attention(name: str) -> None:
        for part in "qkvo":
            matrix(f"{name}_W{part}", WIDTH, WIDTH)
            vector(f"{name}_b{part}", WIDTH)
        norm(f"{name}_Wo")

    def feed_forward(name: str) -> None:
        matrix(f"{name}_W1", WIDTH, HIDDEN)
        vector(f"{name}_b1", HIDDEN)
        matrix(f"{name}_W2", HIDDEN, WIDTH)
        vector(f"{name}_b2", WIDTH)
        norm(f"{name}_ffn")

    rows = {"Wemb": PIECES}
    if source_pieces:
        rows = {"encoder_Wemb": source_pieces, "decoder_Wemb": PIECES}
    for name, count in rows.items():
        tensors[name] = random.normal(0, WIDTH**-0.5, (count, WIDTH)).astype(np.float32)
    vector("decoder_ff_logit_out_b", PIECES)
    for layer in range(1, ENCODER_LAYERS + 1):
        attention(f"encoder_l{layer}_self")
        feed_forward(f"encoder_l{layer}_ffn")
    for layer in range(1, DECODER_LAYERS + 1):
        here = f"decoder_l{layer}"
        if unit == "rnn":
            matrix(f"{here}_rnn_W", WIDTH, WIDTH)
            matrix(f"{here}_rnn_Wf", WIDTH, WIDTH)
            vector(f"{here}_rnn_bf", WIDTH)
            norm(f"{here}_rnn_ffn")
        else:
            attention(f"{here}_self")
        attention(f"{here}_context")
        feed_forward(f"{here}_ffn")
    config = CONFIG | {"transformer-decoder-autoreg": unit}
    if source_pieces:
        config |= {"tied-embeddings-all": False, "tied-embeddings": True}
        config["dim-vocabs"] = [source_pieces, PIECES]
    return Student(tensors, config)


def rounded(student: Student) -> Student:
    """The same model in INT8, with inputs' ranges as its author would have found them."""
    result = Student(dict(student.tensors), student.config)
    for name, values in student.tensors.items():
        if values.shape[0] == 1:
            continue
        multiplier = 127 / float(np.abs(values).max())
        integers = np.rint(values * np.float32(multiplier)).astype(np.int8)
        result.integers[name] = integers
        result.multipliers[name] = float(np.float32(multiplier))
        result.tensors[name] = integers.astype(np.float32) / np.float32(multiplier)
        wide = name.endswith(("_Wo", "_W2"))
        if name == "encoder_Wemb":
            continue  # which nothing is multiplied with
        # What has one input has one range.
        result.inputs[name] = 127 / (6.0 if wide else 4.0)
    return result


def to_bin(student: Student) -> bytes:
    """The content of a `.bin` file."""
    items: list[tuple[str, int, tuple[int, ...], bytes]] = []
    for name, values in student.tensors.items():
        if name in student.integers:
            integers = student.integers[name]
            stored = integers if name.endswith("Wemb") else integers.T
            data = stored.tobytes() + struct.pack("<f", student.multipliers[name])
            items.append((name, _INTGEMM8, values.shape, data + bytes(-len(data) % 256)))
        else:
            items.append((name, _FLOAT32, values.shape, values.tobytes()))
    for name, multiplier in student.inputs.items():
        if name.endswith("Wemb"):  # itself in INT8
            data = struct.pack("<bf", 127, 127 / multiplier)
            items.append((f"{name}_QuantMultA", _INTGEMM8, (1, 1), data))
        else:
            items.append((f"{name}_QuantMultA", _FLOAT32, (1, 1), struct.pack("<f", multiplier)))
    text = yaml.safe_dump(student.config).encode() + b"\0"
    items.append(("special:model.yml", _INT8, (len(text),), text))
    parts = [struct.pack("<QQ", 1, len(items))]
    for name, kind, shape, data in items:
        parts.append(struct.pack("<4Q", len(name) + 1, kind, len(shape), len(data)))
    parts += [name.encode() + b"\0" for name, *_ in items]
    parts += [struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in items]
    padding = -(sum(map(len, parts)) + 8) % 256
    parts.append(struct.pack("<Q", padding) + bytes(padding))
    return b"".join([*parts, *(data for *_, data in items)])


def write_npz(student: Student, path: Path) -> None:
    """The same as Marian's format for training, which is in floats."""
    text = np.frombuffer(yaml.safe_dump(student.config).encode() + b"\0", np.int8)
    np.savez(path, **{"special:model.yml": text, **student.tensors})


@cache
def vocabulary(pieces: int = PIECES, side: str = "source", end: int = 0, pad: int = -1) -> bytes:
    """A SentencePiece model with Marian's numbers: the end of a text is 0, what is unknown 1."""
    model = io.BytesIO()
    lines = DATA.joinpath("en-fr.test.jsonl").read_text(encoding="utf-8").splitlines()[:300]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(json.loads(line)[side] for line in lines),
        model_writer=model,
        vocab_size=pieces,
        **{"eos_id": end, "unk_id": 1 - end, "bos_id": -1, "pad_id": pad, "minloglevel": 2},
    )
    return model.getvalue()


def answers_vocabulary() -> bytes:
    """That of the answers of a model with two: what has a role has other ids than in sources."""
    return vocabulary(PIECES, "target", end=1)


def write_folder(folder: Path, student: Student, *, packed: bool = False) -> Path:
    """A folder as Mozilla's are, packed by gzip or not."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"model.enpt.intgemm.alphas.bin": to_bin(student)}
    if "encoder_Wemb" in student.tensors:
        files["srcvocab.enpt.spm"] = vocabulary(len(student.tensors["encoder_Wemb"]))
        files["trgvocab.enpt.spm"] = answers_vocabulary()
    else:
        files["vocab.enpt.spm"] = vocabulary()
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def to_shortlist(
    lists: Sequence[Sequence[int]],
    first: int,
    offsets: Sequence[int] = (),
    header: Mapping[int, int] = MappingProxyType({}),
) -> bytes:
    """A lexical shortlist with a list for each source token.

    `offsets` and the numbers of its `header` may be others than these are.
    """
    ids = [token for one in lists for token in one]
    offsets = offsets or [0, *accumulate(map(len, lists))]
    numbers = [first, 50, len(offsets), len(ids)]
    for place, value in header.items():
        numbers[place - 2] = value
    content = struct.pack(f"<4Q{len(offsets)}Q{len(ids)}I", *numbers, *offsets, *ids)
    seed = 0
    for (number,) in struct.iter_unpack("<Q", content[: len(content) // 8 * 8]):
        seed = (seed ^ (number + 0x9E3779B9 + (seed << 6) + (seed >> 2))) % 2**64
    return struct.pack("<2Q", 0xF11A48D5013417F5, seed) + content


def loaded(folder: Path) -> Checkpoint:
    """What an import makes of a folder."""
    found = find(folder)
    assert found is not None
    target = folder / "as-checkpoint"
    target.mkdir()
    write_checkpoint(found, target)
    return load_checkpoint(target)


class Reference:
    """The network as it is described, in NumPy and FP64, for one text."""

    def __init__(self, student: Student) -> None:
        self.of = {name: values.astype(np.float64) for name, values in student.tensors.items()}
        self.table = self.of["decoder_Wemb" if "decoder_Wemb" in self.of else "Wemb"]
        self.source_table = self.of["encoder_Wemb" if "encoder_Wemb" in self.of else "Wemb"]
        self.is_recurrent = student.config["transformer-decoder-autoreg"] == "rnn"

    def logits(self, source: list[int], target: list[int]) -> Doubles:
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
        logits: Doubles = x @ self.table.T + self.of["decoder_ff_logit_out_b"]
        return logits

    def answer(self, source: list[int], end: int, most: int) -> list[int]:
        """The best token each time, until the end or `most` of them."""
        made: list[int] = []
        while len(made) < most and end not in made:
            made.append(int(self.logits(source, made)[-1].argmax()))
        return made

    def embedded(self, rows: list[Doubles]) -> Doubles:
        half = WIDTH // 2
        angles = np.arange(len(rows))[:, None] * np.exp(
            -np.log(10000) / (half - 1) * np.arange(half)
        )
        return np.stack(rows) * WIDTH**0.5 + np.hstack([np.sin(angles), np.cos(angles)])

    def norm(self, name: str, x: Doubles) -> Doubles:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled: Doubles = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
        return scaled * self.of[f"{name}_ln_scale"] + self.of[f"{name}_ln_bias"]

    def attend(self, name: str, x: Doubles, memory: Doubles, causal: bool = False) -> Doubles:
        def heads(part: str, rows: Doubles) -> Doubles:
            made = rows @ self.of[f"{name}_W{part}"] + self.of[f"{name}_b{part}"]
            return made.reshape(len(rows), HEADS, -1).transpose(1, 0, 2)

        scores = heads("q", x) @ heads("k", memory).transpose(0, 2, 1) / (WIDTH // HEADS) ** 0.5
        if causal:
            scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        joined = (weights @ heads("v", memory)).transpose(1, 0, 2).reshape(len(x), -1)
        made: Doubles = joined @ self.of[f"{name}_Wo"] + self.of[f"{name}_bo"]
        return made

    def recur(self, here: str, x: Doubles) -> Doubles:
        kept = 1 / (1 + np.exp(-(x @ self.of[f"{here}_rnn_Wf"] + self.of[f"{here}_rnn_bf"])))
        new, state, made = x @ self.of[f"{here}_rnn_W"], np.zeros(WIDTH), []
        for position in range(len(x)):
            state = kept[position] * state + (1 - kept[position]) * new[position]
            made.append(np.maximum(state, 0))
        return np.stack(made)

    def feed_forward(self, here: str, x: Doubles) -> Doubles:
        name = f"{here}_ffn"
        hidden = np.maximum(x @ self.of[f"{name}_W1"] + self.of[f"{name}_b1"], 0)
        return self.norm(f"{name}_ffn", x + hidden @ self.of[f"{name}_W2"] + self.of[f"{name}_b2"])
