"""`seqway-models import` where the checkpoint states languages and settings, and what is measured.

Whatever measures or calibrates a variant decodes as the requests do that are served.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from engine.contract.manifest import Manifest
from engine.contract.options import Options
from engine.export.gates import transformer
from engine.export.precision.calibration import decode_greedily
from engine.export.report.answers import answer_texts
from engine.export.report.oracle import transformers_answers
from engine.export.report.variants import report_variant
from engine.model.tokenizers.samples import TEXTS
from engine.runtime.batch import run_texts
from engine.runtime.decoding.settings import greedy_decoding
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.text.vocabulary import load_tokenizer, load_vocabulary
from engine.training.corpus import Pair
from tests.engine.conftest import read_sources
from tests.engine.test_import import SHORT, Made, imported, made, repository
from tests.engine.test_import import _change as change

__all__ = ["made", "repository"]


def _answers(files: Path, texts: list[str], **languages: str) -> list[str]:
    """What a request that names its languages is answered."""
    engine = Engine(files, Settings(lanes=1))
    engine.start()
    try:
        answers = run_texts(engine, texts, Options(stream=False, **languages))  # type: ignore[arg-type]
    finally:
        engine.stop()
    return [answer.text for answer in answers]


@pytest.mark.parametrize("family", ["nllb", "m2m100", "mbart", "mbart50"])
def test_a_variant_is_measured_with_its_languages(
    tmp_path: Path, repository: Path, made: Made, family: str
) -> None:
    """Quality is that of what is served, whether languages are given at the import or not."""
    files = repository / "m_fp32" / "1"
    texts = [text for text in read_sources(100) if len(text) < 60][:6]
    pair = {"source_language": "en", "target_language": "fr"}
    imported(made(family), repository, "--task", "translation")
    served = _answers(files, texts, **pair)
    lines = [json.dumps({"source": s, "target": t}) for s, t in zip(texts, served, strict=True)]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    options = ("--test", tmp_path / "test.jsonl", "--source", "en", "--target", "fr", "--force")
    manifest = imported(made(family), repository, "--task", "translation", *options)
    assert manifest.quality["chrf"] > 99
    assert _answers(files, texts, **pair) == served
    assert _answers(files, texts) == served
    assert answer_texts(files, texts)[0] == served
    oracle = transformers_answers(made(family), texts, files)
    pairs = [Pair(text, "") for text in texts]
    assert report_variant(files, oracle, pairs).equal == len(texts)


@pytest.mark.parametrize("family", ["nllb", "mbart"])
def test_gates_and_calibration_decode_as_requests_do(
    repository: Path, made: Made, family: str
) -> None:
    options = ("--task", "translation", "--source", "en", "--target", "fr")
    manifest = imported(made(family), repository, *options)
    files = repository / "m_fp32" / "1"
    session = OnnxSession(files, manifest, threads=1)
    rows = transformer._rows(files, session, read_sources(8))
    trails = transformer._decode(session, rows)
    code = manifest.forced_bos_ids.get("fr")
    assert max(trail.tokens.size for trail in trails) > 3
    if code is not None:
        assert all(trail.tokens[0] == code for trail in trails)
        assert all(0 in row.plan.forced for row in rows)
    fed = _FedTokens(manifest)
    decode_greedily(fed, fed, manifest, [row.plan.source for row in rows])
    expected = [manifest.decoder_start_ids.get("fr", manifest.decoder_start_id)]
    assert fed.tokens[: 1 + (code is not None)] == [*expected, *([code] if code else [])]
    assert len(fed.tokens) > 3


class _FedTokens:
    """Stands for both graphs; notes what the decoder is fed, and ends an answer at once."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.tokens: list[int] = []

    def run(self, inputs: dict[str, Any], rows: Any = None) -> dict[str, Any]:
        if "ids" not in inputs:
            return {}
        self.tokens.append(int(inputs["ids"][0]))
        token = self.manifest.eos_id if len(self.tokens) > 3 else 5
        logits = np.zeros((len(inputs["ids"]), self.manifest.vocab_size), np.float32)
        logits[:, token] = 1
        return {"next_ids": np.full(len(inputs["ids"]), token), "logits": logits}


T5_PARAMS = {
    f"translation_en_to_{target}": {
        "early_stopping": True,
        "max_length": 30,
        "num_beams": 4,
        "prefix": f"translate English to {name}: ",
    }
    for target, name in (("de", "German"), ("fr", "French"), ("ro", "Romanian"))
}


def _with_params(made: Path, folder: Path, params: dict[str, Any]) -> Path:
    shutil.copytree(made, folder)
    (folder / "generation_config.json").unlink()
    change(folder / "config.json", task_specific_params=params)
    return folder


def test_t5_with_several_pairs_serves_and_measures_them(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    summary = {"summarization": {"num_beams": 2, "prefix": "summarize: "}}
    folder = _with_params(made("t5"), tmp_path / "t5", summary | T5_PARAMS)
    lines = [json.dumps({"source": text, "target": text}) for text in SHORT]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    options = ("--task", "translation", "--test", tmp_path / "test.jsonl")
    manifest = imported(folder, repository, *options)
    assert manifest.language_pairs == (("en", "de"), ("en", "fr"), ("en", "ro"))
    assert manifest.template == "translate {source} to {target}: {text}"
    assert manifest.generation["num_beams"] == 4
    assert manifest.generation["max_new_tokens"] == 29
    assert set(manifest.quality) == {"bleu", "chrf"}


def test_t5_with_one_pair_keeps_its_settings(tmp_path: Path, repository: Path, made: Made) -> None:
    one = {"translation_en_to_fr": T5_PARAMS["translation_en_to_fr"]}
    folder = _with_params(made("t5"), tmp_path / "t5", one)
    for options in ((), ("--task", "translation"), ("--source", "en"), ("--target", "fr")):
        manifest = imported(folder, repository, *options, "--force")
        assert manifest.task == "translation"
        assert manifest.language_pairs == (("en", "fr"),)
        assert manifest.generation == {
            "num_beams": 4,
            "early_stopping": True,
            "max_new_tokens": 29,
        }
    (ids,) = load_vocabulary(repository / "m_fp32" / "1", manifest).encode(["a"])
    spelled = load_tokenizer(repository / "m_fp32" / "1")
    assert ids == spelled.encode("translate English to French: a").ids


def test_pairs_that_decode_differently_are_told(
    tmp_path: Path, repository: Path, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    params = dict(T5_PARAMS)
    params["translation_en_to_ro"] = params["translation_en_to_ro"] | {"num_beams": 2}
    folder = _with_params(made("t5"), tmp_path / "t5", params)
    assert "num_beams" not in imported(folder, repository).generation
    assert "decodes its pairs of languages differently" in caplog.text
    manifest = imported(folder, repository, "--target", "ro", "--force")
    assert manifest.generation["num_beams"] == 2


def test_an_mbart_that_states_only_translation_needs_no_task(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    folder = Path(shutil.copytree(made("mbart"), tmp_path / "mbart"))
    start = {"decoder_start_token_id": _id_of(folder, "ro_RO")}
    change(folder / "config.json", task_specific_params={"translation_en_to_ro": start})
    manifest = imported(folder, repository)
    assert manifest.task == "translation"
    assert manifest.target_languages == ("ro",)
    assert manifest.decoder_start_ids == {"ro": start["decoder_start_token_id"]}


def _id_of(folder: Path, token: str) -> int:
    found = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(token)
    assert isinstance(found, int)
    return found


def test_a_summarizer_starts_with_its_language(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    """Whether a request names the language, as the gateway's do, or not."""
    options = ("--task", "summarization", "--source", "fr")
    manifest = imported(made("mbart"), repository, *options)
    files, code = repository / "m_fp32" / "1", _id_of(made("mbart"), "fr_XX")
    assert manifest.decoder_start_ids == {"": code}
    texts = [text for text in read_sources(100) if len(text) < 60][:4]
    oracle = transformers_answers(made("mbart"), texts, files)
    assert report_variant(files, oracle, [Pair(text, "") for text in texts]).equal == len(texts)
    named = _answers(files, texts, source_language="fr", target_language="fr")
    assert named == _answers(files, texts) == answer_texts(files, texts)[0]
    assert greedy_decoding(manifest).start_id == code


@pytest.mark.parametrize(
    ("family", "kept"),
    [("mbart50", ["en_XX", "fr_XX"]), ("nllb", ["eng_Latn", "fra_Latn"]), ("mbart", ["en_XX"])],
)
def test_a_checkpoint_trimmed_to_few_languages(
    tmp_path: Path, repository: Path, made: Made, family: str, kept: list[str]
) -> None:
    """Its tokenizer, embeddings and configuration know no others, and its class knows all."""
    folder = Path(shutil.copytree(made(family), tmp_path / "trimmed"))
    content = json.loads((folder / "tokenizer.json").read_text())
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    size = own.get_vocab_size()
    codes = {i for t, i in own.get_vocab().items() if CODE.fullmatch(t) and t not in kept}
    left = [index for index in range(size) if index not in codes]
    number = {old: new for new, old in enumerate(left)}
    if content["model"]["type"] == "Unigram":
        vocab = content["model"]["vocab"]
        content["model"]["vocab"] = [vocab[index] for index in left if index < len(vocab)]
    else:
        vocab = content["model"]["vocab"]
        content["model"]["vocab"] = {t: number[i] for t, i in vocab.items() if i in number}
    content["added_tokens"] = [
        token | {"id": number[token["id"]]}
        for token in content["added_tokens"]
        if token["id"] in number
    ]
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content))
    names = json.loads((folder / "tokenizer_config.json").read_text())
    stated = {key: names[key] for key in ("tokenizer_class",)}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        if "shared" in name or "embed_tokens" in name or "lm_head" in name:
            weights[name] = tensor[left].clone()
        elif name == "final_logits_bias":
            weights[name] = tensor[:, left].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    change(folder / "config.json", vocab_size=len(left), decoder_start_token_id=2)
    start = {"decoder_start_token_id": 2, "forced_bos_token_id": None}
    change(folder / "generation_config.json", **start)
    manifest = imported(folder, repository, "--task", "translation")
    tags = {code.partition("_")[0][:2] for code in kept}
    served = {
        *manifest.source_languages,
        *(code for pair in manifest.language_pairs for code in pair),
    }
    assert served == tags
    assert set(manifest.language_codes.values()) == set(kept)
    assert any(
        _answers(
            repository / "m_fp32" / "1",
            SHORT,
            target_language=sorted(tags)[-1],
            source_language="en",
        )
    )


CODE = re.compile(r"[a-z]{2,3}_([A-Z]{2}|[A-Z][a-z]{3})")


# ---- tokenizers


def test_a_declared_class_does_not_change_what_is_read(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    """An XLM-R that declares RoBERTa's tokenizer, which transformers 5 builds of its pieces."""
    folder = Path(shutil.copytree(made("xlm-roberta"), tmp_path / "copy"))
    change(folder / "tokenizer_config.json", tokenizer_class="RobertaTokenizer")
    imported(folder, repository)
    ours = load_tokenizer(repository / "m_fp32" / "1")
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in [*TEXTS, *read_sources(10)]:
        assert ours.encode(text).ids == own.encode(text).ids, text
