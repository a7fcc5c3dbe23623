"""Every family end to end: a checkpoint of `transformers` is imported and decodes token for token.

The checkpoints are small and random. Ours is the imported FP32 variant on ONNX Runtime, with all
texts in one running batch; the oracle is `generate` with the ids of the checkpoint's own tokenizer.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from typer.testing import CliRunner

from engine.cli import app
from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine, Settings
from tests.engine.model.seq2seq_checkpoints import FAMILIES as USUAL
from tests.engine.model.seq2seq_checkpoints import write_m2m100_pad_start, write_marian_two


def write_marian_few_sources(folder: Path, seed: int) -> None:
    """Answers have tokens that sources have not, and the head a matrix of its own."""
    write_marian_two(folder, seed, (200, 300), tie_word_embeddings=False)


FAMILIES = USUAL | {
    "m2m100-pad-start": write_m2m100_pad_start,
    "marian-few-sources": write_marian_few_sources,
}

TEXTS = [
    "A small editor.",
    "This package contains the development files, and the headers that other programs need.",
    "Games",
    "It is a library for reading and writing images in many formats; see the manual for details.",
    "Déjà vu: 42 naïve cafés!",
    "The tool shows which files a program opens.",
    "x",
    "Documentation for the graphical interface of the server, with examples in several languages.",
]
LANGUAGES = {
    "mbart": ("en_XX", "fr_XX"),
    "mbart50": ("en_XX", "fr_XX"),
    "m2m100": ("en", "fr"),
    "m2m100-pad-start": ("en", "fr"),
    "nllb": ("eng_Latn", "fra_Latn"),
}
T5S = {"t5", "flan-t5", "mt5"}
NEW_TOKENS = 24

# M2M100's own tokenizer writes the language's code into the text, and this for ids without a token.
LANGUAGE_CODE = re.compile(r"__[a-z]+__|<unk>")


@pytest.fixture(scope="module", params=list(FAMILIES))
def imported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """The family, its checkpoint, and the files of its FP32 variant."""
    family = str(request.param)
    root = tmp_path_factory.mktemp(family)
    FAMILIES[family](root / family, 3)
    arguments = ["import", str(root / family), "--task", "translation", "--precision", "fp32"]
    arguments += ["--source", "en", "--target", "fr"]
    result = CliRunner().invoke(app, [*arguments, "--model-repository", str(root / "repository")])
    assert result.exit_code == 0, result.output
    return family, root / family, root / "repository" / f"{family}_fp32" / "1"


@pytest.fixture(scope="module")
def engine(imported: tuple[str, Path, Path]) -> Iterator[Engine]:
    engine = Engine(imported[2], Settings(lanes=1))
    engine.start()
    yield engine
    engine.stop()


def oracle(family: str, folder: Path, **choices: Any) -> list[list[int]]:
    """What `generate` makes of each text by itself, without the decoder's start token."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    if family in LANGUAGES:
        tokenizer.src_lang, target = LANGUAGES[family]
        if family != "mbart":
            choices["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(target)
        if family.startswith("m2m100"):
            choices["forced_bos_token_id"] = tokenizer.get_lang_id(target)
    prefix = "translate English to French: " if family in ("t5", "flan-t5") else ""
    if family in T5S:  # its cache counts the encoder's layers, which are fewer here
        choices["use_cache"] = False
    answers = []
    for text in TEXTS:
        inputs = tokenizer(prefix + text, return_tensors="pt")
        with torch.no_grad():
            made = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=NEW_TOKENS,
                **choices,
            )
        ids = made[0].tolist()[1:]
        end = read_end(model)
        answers.append(ids[: ids.index(end) + 1] if end in ids else ids)
    return answers


def read_end(model: transformers.PreTrainedModel) -> int:
    end = model.generation_config.eos_token_id
    return int(end[0] if isinstance(end, list) else end)


def ours(engine: Engine, **choices: Any) -> list[list[int]]:
    options = replace(
        Options(stream=False, token_ids=True, max_new_tokens=NEW_TOKENS, stop_repetition=False),
        source_language="en",
        target_language="fr",
        **choices,
    )
    return [list(answer.end.token_ids) for answer in run_texts(engine, TEXTS, options)]


@pytest.mark.parametrize("beams", [1, 4])
def test_decodes_as_transformers(
    imported: tuple[str, Path, Path], engine: Engine, beams: int
) -> None:
    family, folder, _ = imported
    assert ours(engine, num_beams=beams) == oracle(family, folder, num_beams=beams)


def test_honours_the_generation_config(imported: tuple[str, Path, Path], engine: Engine) -> None:
    """With nothing asked for, beams, penalties and limits are the checkpoint's own."""
    family, folder, _ = imported
    assert ours(engine) == oracle(family, folder)


def test_decodes_the_text(imported: tuple[str, Path, Path], engine: Engine) -> None:
    _, folder, _ = imported
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options = Options(
        stream=False, token_ids=True, max_new_tokens=NEW_TOKENS, stop_repetition=False
    )
    options = replace(options, source_language="en", target_language="fr")
    for answer in run_texts(engine, TEXTS, options):
        expected = tokenizer.decode(
            list(answer.end.token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert answer.text.strip() == LANGUAGE_CODE.sub("", expected).strip()


def test_the_manifest_names_the_languages(imported: tuple[str, Path, Path]) -> None:
    manifest = read_manifest(imported[2])
    assert manifest.task == "translation"
    assert manifest.kind == "seq2seq"
    assert [list(pair) for pair in manifest.language_pairs] == [["en", "fr"]]
