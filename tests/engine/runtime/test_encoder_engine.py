"""Whole encoder variants, from `transformers`' checkpoint through export to results."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from engine.contract.options import InvalidOptionsError
from engine.contract.readings import EncoderReady, Failure, Logits, Spans, encode_reading
from engine.export.exporter import ExportJob, export
from engine.export.gates.encoder import check_encoder
from engine.export.gates.transformer import DifferenceError
from engine.model.checkpoint import load_checkpoint
from engine.native.library import is_there
from engine.native.model import is_served
from engine.native.weights import MODEL_FILE
from engine.runtime.encoders.engine import EncoderEngine
from engine.runtime.encoders.request import EncoderItem, EncoderOptions, parse_encoder_options
from engine.runtime.sessions.placement import SESSION_VARIABLE
from engine.runtime.sessions.session import DeviceLostError
from tests.engine.model.encoder_checkpoints import FAMILIES, LABELS, LONGEST
from tests.engine.model.encoder_tokenizers import texts

LONG = " ".join(texts(40))
SHORT = " ".join(texts()[3].split()[:6])
QUESTION = "What does it do?"
MIXED = ["A game.", texts()[3], LONG, "", texts()[5], LONG[:2000], texts()[7], "x"]

Variant = Callable[[str, str, str], Path]


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Variant:
    """Exports a family with a head, once; returns the files of the wanted precision."""
    root = tmp_path_factory.mktemp("encoders")

    def export_once(family: str, head: str, precision: str) -> Path:
        name = f"{family}-{head}"
        if not (root / name).exists():
            FAMILIES[family](root / name, head, 3)
            task = "classification" if head == "classification" else "question-answering"
            job = ExportJob(
                load_checkpoint(root / name),
                name,
                ("", ""),
                root / "repository",
                texts(48),
                task=task,  # type: ignore[arg-type]
            )
            export(job, ["fp32", "int8"])
        return root / "repository" / f"{name}_{precision}" / "1"

    return export_once


@pytest.fixture
def engine(variant: Variant) -> EncoderEngine:
    return EncoderEngine(variant("bert", "classification", "fp32"), lanes=2)


def run(engine: EncoderEngine, items: list[EncoderItem]) -> list[Logits]:
    results = engine.run(items)
    assert all(isinstance(result, Logits) for result in results), results
    return results  # type: ignore[return-value]


FAMILY_NAMES = ["albert", "deberta-v3", "distilbert", "esm2", "roberta", "xlm-roberta-xl"]


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_variant_gives_the_logits_of_transformers(variant: Variant, family: str) -> None:
    files = variant(family, "classification", "fp32")
    folder = files.parents[2] / f"{family}-classification"
    sources = ["MKTAYIAKQR", "QISFVKSHFS", "M"] if family == "esm2" else [SHORT, "A game."]
    engine = EncoderEngine(files, lanes=1)
    assert engine.manifest.labels == tuple(LABELS)
    assert engine.manifest.multi_label == (family == "roberta")
    results = run(engine, [EncoderItem(text) for text in sources])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for text, result in zip(sources, results, strict=True):
        encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=LONGEST)
        if "token_type_ids" in encoded and not engine.manifest.token_type_ids:
            del encoded["token_type_ids"]
        with torch.no_grad():
            expected = model(**encoded).logits[0].numpy()
        np.testing.assert_allclose(result.logits, expected, atol=1e-3)
        assert result.windows == 1
        assert result.input_tokens == encoded["input_ids"].shape[1]


@pytest.mark.parametrize(("family", "precision"), [("bert", "fp32"), ("albert", "int8")])
def test_a_result_does_not_depend_on_its_neighbours(
    variant: Variant, family: str, precision: str
) -> None:
    engine = EncoderEngine(variant(family, "classification", precision), lanes=2)
    together = run(engine, [EncoderItem(text) for text in MIXED])
    backwards = run(engine, [EncoderItem(text) for text in reversed(MIXED)])[::-1]
    for text, one, other in zip(MIXED, together, backwards, strict=True):
        (alone,) = run(engine, [EncoderItem(text)])
        np.testing.assert_allclose(one.logits, alone.logits, atol=1e-4)
        np.testing.assert_allclose(other.logits, alone.logits, atol=1e-4)
        assert one.windows == alone.windows


def test_pytorch_reads_the_same_windows(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    files = variant("bert", "classification", "fp32")
    items = [EncoderItem(text) for text in MIXED]
    expected = run(EncoderEngine(files, lanes=2), items)
    monkeypatch.setenv(SESSION_VARIABLE, "torch")
    for one, other in zip(run(EncoderEngine(files), items), expected, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
        assert (one.windows, one.input_tokens) == (other.windows, other.input_tokens)


@pytest.mark.parametrize("family", ["bert", "albert", "deberta-v3", "xlm-roberta-xl"])
def test_int8_is_near_fp32(variant: Variant, family: str) -> None:
    logits = {}
    for precision in ("fp32", "int8"):
        engine = EncoderEngine(variant(family, "classification", precision))
        results = run(engine, [EncoderItem(text) for text in texts(60)])
        logits[precision] = np.array([result.logits for result in results])
    assert not np.allclose(logits["int8"], logits["fp32"], atol=1e-4), "nothing was quantized"
    error = np.sqrt(np.mean((logits["int8"] - logits["fp32"]) ** 2))
    assert error < 0.3 * logits["fp32"].std()
    sizes = [_size(variant(family, "classification", one)) for one in ("fp32", "int8")]
    assert sizes[1] < sizes[0]


def test_an_import_looks_at_what_native_code_makes_too(variant: Variant, tmp_path: Path) -> None:
    if not is_there():
        pytest.skip("the native library is missing: run `make native`")
    files = variant("bert", "classification", "fp32")
    checkpoint = load_checkpoint(files.parents[2] / "bert-classification")
    check_encoder(files, checkpoint, texts(8))
    copy = shutil.copytree(files, tmp_path / "1")
    model = json.loads((copy / MODEL_FILE).read_text())
    (copy / MODEL_FILE).write_text(json.dumps(model | {"activation": "relu"}))
    with pytest.raises(DifferenceError, match="differ from the checkpoint's"):
        check_encoder(copy, checkpoint, texts(8))


def _size(files: Path) -> int:
    return sum(file.stat().st_size for file in files.glob("model.onnx*"))


def test_layers_that_share_parameters_share_them_in_the_file(variant: Variant) -> None:
    size = _size(variant("albert", "classification", "fp32"))
    weights = variant("albert", "classification", "fp32").parents[2] / "albert-classification"
    assert size < 1.5 * (weights / "model.safetensors").stat().st_size


@pytest.mark.parametrize("family", ["bert", "deberta-v3"])
def test_computed_tokens_count_padding_where_there_is_some(variant: Variant, family: str) -> None:
    files = variant(family, "classification", "fp32")
    engine = EncoderEngine(files, lanes=1)
    run(engine, [EncoderItem(text) for text in MIXED])
    padding = engine.counts.computed_tokens - engine.counts.tokens
    assert padding > 0 if not is_served(files) else padding == 0


def test_a_long_text_is_the_mean_of_its_windows_weighted_by_their_tokens(
    engine: EncoderEngine,
) -> None:
    (whole,) = run(engine, [EncoderItem(LONG, options=EncoderOptions(stride=0))])
    cut = engine._cutter.cut(LONG, 0)
    assert whole.windows == len(cut.windows) > 5
    parts = [engine._session.run([window])[0] for window in cut.windows]
    tokens = np.array([window.tokens for window in cut.windows])
    assert tokens.sum() == whole.input_tokens - 2
    expected = (np.array(parts) * tokens[:, None]).sum(axis=0) / tokens.sum()
    np.testing.assert_allclose(whole.logits, expected, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "deberta-v2"])
def test_answers_are_spans_of_the_context(variant: Variant, family: str) -> None:
    engine = EncoderEngine(variant(family, "spans", "fp32"))
    options = EncoderOptions(top_k=5, max_answer_tokens=6)
    short, long = engine.run(
        [EncoderItem(SHORT, QUESTION, options), EncoderItem("𝄞 " + LONG, QUESTION, options)]
    )
    assert isinstance(short, Spans)
    assert isinstance(long, Spans)
    assert short.windows < long.windows
    for result, text in ((short, SHORT), (long, "𝄞 " + LONG)):
        assert len(result.answers) == 5
        scores = [answer.score for answer in result.answers]
        assert scores == sorted(scores, reverse=True)
        assert 0 < sum(scores) + result.no_answer_score <= 1 + 1e-6
        for answer in result.answers:
            part = text[answer.start : answer.end]
            assert part and part == part.strip()


def test_the_best_span_is_that_of_transformers(variant: Variant) -> None:
    files = variant("bert", "spans", "fp32")
    folder = files.parents[2] / "bert-spans"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    encoded = tokenizer(QUESTION, SHORT, return_tensors="pt", return_offsets_mapping=True)
    offsets, sequences = encoded.pop("offset_mapping")[0], encoded.sequence_ids(0)
    with torch.no_grad():
        output = model(**encoded)
    inside = [place for place, one in enumerate(sequences) if one == 1]
    pairs = [(i, j) for i in inside for j in inside if i <= j < i + 6]
    start, end = output.start_logits[0], output.end_logits[0]
    best = max(pairs, key=lambda pair: float(start[pair[0]] + end[pair[1]]))
    engine = EncoderEngine(files)
    (result,) = engine.run([EncoderItem(SHORT, QUESTION, EncoderOptions(max_answer_tokens=6))])
    assert isinstance(result, Spans)
    (answer,) = result.answers
    assert (answer.start, answer.end) == (int(offsets[best[0]][0]), int(offsets[best[1]][1]))


def test_what_is_wrong_with_one_item_is_told_in_its_place(variant: Variant) -> None:
    engine = EncoderEngine(variant("bert", "spans", "fp32"))
    good = EncoderItem(SHORT, QUESTION)
    alone = engine.run([good])
    results = engine.run(
        [
            EncoderItem(LONG, LONG),
            good,
            EncoderItem(LONG, QUESTION, EncoderOptions(stride=60)),
            EncoderItem("", options=EncoderOptions(probe=True)),
        ]
    )
    reasons = [result.reason if isinstance(result, Failure) else "" for result in results]
    assert reasons == ["TOO_LONG", "", "INVALID_OPTIONS", ""]
    assert results[1] == alone[0]
    assert isinstance(results[3], EncoderReady)
    assert engine.run([]) == []


def test_a_window_that_fails_takes_no_other_with_it(
    engine: EncoderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_run, marker = engine._session.run, engine._cutter.cut("zzzz").windows[0].ids

    def fail(windows: list[object]) -> object:
        if any(window.ids == marker for window in windows):  # type: ignore[attr-defined]
            raise RuntimeError("no memory")
        return session_run(windows)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._session, "run", fail)
    results = engine.run([EncoderItem("A game."), EncoderItem("zzzz"), EncoderItem(texts()[3])])
    assert isinstance(results[1], Failure)
    assert results[1].reason == "FAILED"
    assert "no memory" in results[1].message
    assert isinstance(results[0], Logits)
    assert isinstance(results[2], Logits)


def test_results_are_sent_as_the_protocol_says(engine: EncoderEngine) -> None:
    (result,) = engine.run([EncoderItem("A game.")])
    sent = json.loads(encode_reading(result))
    assert set(sent) == {"type", "logits", "windows", "input_tokens"}
    assert sent["type"] == "logits"
    assert len(sent["logits"]) == len(LABELS)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"beams": 3}, "unknown option 'beams'"),
        ({"top_k": 2}, "unknown option 'top_k'"),
        ({"stride": -1}, "stride must be"),
        ({"stride": True}, "stride must be"),
        ({"stride": None}, "stride must be"),
        ({"probe": 1}, "probe must be"),
    ],
)
def test_wrong_options_are_named(raw: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionsError, match=message):
        parse_encoder_options(raw, spans=False)


def test_span_options() -> None:
    assert parse_encoder_options({"top_k": 3, "stride": 0}, spans=True).top_k == 3
    for wrong in ({"top_k": 0}, {"max_answer_tokens": 0}, {"top_k": "3"}):
        with pytest.raises(InvalidOptionsError):
            parse_encoder_options(wrong, spans=True)


def test_of_a_lost_gpu_no_text_is_guilty(
    engine: EncoderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it asked for each of them anew."""
    calls = []

    def lose(windows: object) -> None:
        calls.append(windows)
        raise DeviceLostError("this process has lost GPU 0")

    monkeypatch.setattr(engine._session, "run", lose)
    with pytest.raises(DeviceLostError):
        engine.run([EncoderItem("A game.", "", EncoderOptions())] * 6)
    assert len(calls) <= 2
