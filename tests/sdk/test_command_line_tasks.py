"""Each command beside plain `translate`: what it prints, and what it tells on stderr."""

import json
import os
import subprocess
from pathlib import Path
from typing import cast

import grpc
import pytest
from seqway.v1 import generation_pb2, translation_pb2

from tests.sdk.command_line import COMMAND, refused, seqway
from tests.sdk.server import FakeServer
from tests.sdk.servicers.classification import CLASSIFIER
from tests.sdk.servicers.models import MANY, MODELS
from tests.sdk.status import FakeFailure, bad_request, error_info

pytestmark = pytest.mark.usefixtures("environment")

GENERATION_FLAGS = (
    *("--beams", "4", "--length-penalty", "0.6", "--early-stopping", "never", "--n-best", "2"),
    *("--no-repeat-ngram", "3", "--repetition-penalty", "1.2", "--min-tokens", "2"),
    *("--max-tokens", "90", "--prefix", "Le ", "--log-probs", "--no-stop-repetition", "--bulk"),
)
GENERATION = generation_pb2.GenerationOptions(
    max_new_tokens=90,
    min_new_tokens=2,
    num_beams=4,
    length_penalty=0.6,
    early_stopping=generation_pb2.EARLY_STOPPING_NEVER,
    num_hypotheses=2,
    no_repeat_ngram_size=3,
    repetition_penalty=1.2,
    target_prefix="Le ",
    token_log_probs=True,
    stop_repetition=False,
    priority=generation_pb2.PRIORITY_BULK,
)


@pytest.mark.parametrize(
    ("command", "task"),
    [
        (("translate", "text"), "translation"),
        (("summarize", "some text"), "summarization"),
        (("ask", "Who?", "--context", "Ada"), "question_answering"),
    ],
)
def test_the_generation_flags_are_the_same_everywhere(
    server: FakeServer, command: tuple[str, ...], task: str
) -> None:
    assert seqway(*command, *GENERATION_FLAGS).returncode == 0
    assert getattr(server, task).requests[-1].options == GENERATION
    flags = ("--sample", "--temperature", "0.5", "--top-k", "0", "--top-p", "0.9", "--seed", "3")
    assert seqway(*command, *flags).returncode == 0
    assert getattr(server, task).requests[-1].options == generation_pb2.GenerationOptions(
        sampling=generation_pb2.Sampling(temperature=0.5, top_k=0, top_p=0.9, seed=3)
    )


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_other_answers_and_tokens_are_shown(stream: list[str]) -> None:
    flags = ("--beams", "2", "--n-best", "2", "--log-probs", *stream)
    assert seqway("translate", "x", *flags).stdout.decode().splitlines() == [
        "X",
        "  answer 1 (score -1.500, quality 0.75)",
        "    A -0.500  <0> -0.250",
        "  answer 2 (score -2.000): OTHER 2",
        "    A -0.500  <0> -0.250",
    ]


def test_markup_and_terms_reach_the_server(server: FakeServer, tmp_path: Path) -> None:
    glossary = tmp_path / "terms.csv"
    glossary.write_text("lib,bibliothèque\neditor,éditeur\n")
    arguments = ("translate", "<b>an editor</b>", "--html", "--glossary", glossary, "--match-case")
    finished = seqway(*arguments, "--keep", "Seqway", "--keep", "a b")
    assert finished.stdout == b"<B>AN EDITOR</B>\n"
    assert finished.stderr.decode() == "seqway: note: glossary: editor → éditeur\n"
    request = cast(translation_pb2.TranslateRequest, server.translation.requests[0])
    assert request.mime_type == "text/html"
    assert request.do_not_translate == ["Seqway", "a b"]
    assert [entry.case_sensitive for entry in request.glossary] == [True, True]


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_a_pivot_is_noted_and_may_be_forbidden(stream: list[str]) -> None:
    finished = seqway("translate", "x", "--from", "pt", *stream)
    assert finished.stderr.decode() == "seqway: note: translated through en (pt-en_int8)\n"
    assert seqway("translate", "x", "--from", "pt", "--no-pivot", *stream).stderr == b""


@pytest.mark.parametrize(
    ("flags", "mime_type"),
    [
        ([], ""),
        (["--format", "text"], "text/plain"),
        (["--xml"], "application/xml"),
        (["--format", "html", "--html"], "text/html"),
    ],
)
def test_the_format_is_a_mime_type(server: FakeServer, flags: list[str], mime_type: str) -> None:
    assert seqway("translate", "x", *flags).returncode == 0
    request = cast(translation_pb2.TranslateRequest, server.translation.requests[0])
    assert request.mime_type == mime_type


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_an_answer_that_does_not_end_by_itself_is_told(stream: list[str]) -> None:
    finished = seqway("translate", "fine", "endless", "short", *stream)
    assert finished.stdout == b"FINE\nENDLESS\nSHORT\n"
    assert finished.stderr.decode().splitlines() == [
        "seqway: text 2: warning: the answer looped and was stopped; it holds the loop once",
        "seqway: text 3: warning: truncated: the token limit was reached (see --max-tokens)",
    ]


def test_languages_are_detected() -> None:
    finished = seqway("detect", "a text editor", "ok", "--among", "de, en")
    assert finished.stdout == b"de\tde 0.75\nundecided\tde 0.75\n"
    one = json.loads(seqway("detect", "--json", stdin=b"a text editor").stdout)["detections"][0]
    assert one == {"language": "en", "candidates": [{"language": "en", "score": 0.75}]}


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_the_detected_language_is_told(stream: list[str]) -> None:
    finished = seqway("translate", "fine", "--from", "auto", *stream)
    assert finished.stdout == b"FINE\n"
    assert finished.stderr == b"seqway: note: detected language: en\n"


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_texts_are_summarized(server: FakeServer, stream: list[str]) -> None:
    finished = seqway("summarize", "one two", "three four", "--length", "medium", *stream)
    assert (finished.stdout, finished.stderr) == (b"one two\nthree four\n", b"")
    assert server.summarization.requests[0].length == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_what_no_summary_has_seen_is_told(tmp_path: Path, stream: list[str]) -> None:
    file = tmp_path / "article.txt"
    file.write_text("warn and drop " * 200)
    finished = seqway("summarize", "-f", file, *stream)
    assert finished.stdout == b"warn warn\n"
    assert finished.stderr.decode().splitlines() == [
        "seqway: warning: it was split",
        "seqway: warning: characters 2,000 to 2,005 were left out: it is too long",
    ]


def test_a_terminal_is_told_of_the_progress() -> None:
    terminal, other_end = os.openpty()
    subprocess.run([*COMMAND, "summarize", "--stream", "a b"], stderr=other_end, timeout=60)
    assert os.read(terminal, 1000).decode().splitlines() == ["seqway: part 1 of 2"]
    os.close(terminal)
    os.close(other_end)


def test_json_of_a_summary_tells_all() -> None:
    finished = seqway("summarize", "--json", stdin=b"warn drop")
    assert finished.stderr == b""
    summary = json.loads(finished.stdout)["summaries"][0]
    assert [part["text"] for part in summary["parts"]] == ["warn", "drop"]
    assert summary["dropped"][0]["reason"] == "it is too long"
    assert (summary["levels"], summary["warnings"]) == (1, ["it was split"])


def test_json_of_a_streamed_summary_is_an_event_a_line() -> None:
    lines = seqway("summarize", "--json", "--stream", "a b").stdout.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds == ["progress", "delta", "delta", "end", "summary"]


def test_labels_are_shown_best_first() -> None:
    rows = seqway("classify", "a text", "--top-k", "2").stdout.decode().split()
    assert rows[-4:] == ["editors", "0.700", "libs", "0.200"]


def test_labels_of_several_texts_stand_beside_them() -> None:
    shown = seqway("classify", "first\ntext", "second " * 20, "-k", "1").stdout.decode()
    assert [line.split() for line in shown.splitlines() if "0.700" in line] == [
        ["first", "text", "editors", "0.700"],
        [*["second"] * 5, "seco…", "editors", "0.700"],
    ]


def test_that_no_label_fits_is_told() -> None:
    finished = seqway("classify", "warn", "--threshold", "0.9", "--multi-label")
    assert finished.stdout == b""
    assert finished.stderr.decode().splitlines() == [
        "seqway: warning: it was split",
        "seqway: note: no label reached the threshold",
    ]


def test_json_of_labels_tells_all() -> None:
    one = json.loads(seqway("classify", "--json", stdin=b"text").stdout)["classifications"][0]
    assert [label["label"] for label in one["labels"]] == ["editors", "libs", "games"]
    assert (one["labels"][0]["logit"], one["windows"], one["multi_label"]) == (7.0, 1, False)


def test_a_question_is_answered_from_each_kind_of_context(tmp_path: Path) -> None:
    file = tmp_path / "context.txt"
    file.write_text("Ada wrote it")
    assert seqway("ask", "Who?", "--context", "Ada wrote it").stdout == b"Ada\n"
    for option in ("-f", "--file", "--context-file"):
        assert seqway("ask", "Who?", option, file).stdout == b"Ada\n"
    assert seqway("ask", "Who?", stdin=b"Ada wrote it").stdout == b"Ada\n"


def test_several_answers_are_a_table() -> None:
    shown = seqway("ask", "Who?", "-c", "Ada wrote it", "--answers", "2").stdout.decode()
    assert ["Ada", "0.500", "0-3"] in [line.split() for line in shown.splitlines()]
    assert ["wrote", "0.250", "4-9"] in [line.split() for line in shown.splitlines()]


def test_that_there_is_no_answer_is_told() -> None:
    finished = seqway("ask", "Who?", "--context", "nothing")
    assert (finished.returncode, finished.stdout) == (0, b"")
    assert finished.stderr == b"seqway: note: the context holds no answer (score 0.95)\n"


def test_json_of_an_answer_tells_all() -> None:
    document = json.loads(seqway("ask", "Who?", "--context", "Ada", "--json").stdout)
    assert document["answers"][0]["start"] == 0
    assert (document["no_answer_score"], document["windows"]) == (0.25, 2)


def test_models_are_shown() -> None:
    shown = seqway("models").stdout.decode()
    for expected in ("en-fr_int8", "en → fr", "bleu 30.1", "de, en, fr → de, en"):
        assert expected in shown
    assert "editors, libs, games, net and 2 more" in " ".join(shown.split())
    listed = json.loads(seqway("models", "--json").stdout)
    assert [model["name"] for model in listed] == list(MODELS)


def test_one_model_is_described_in_full() -> None:
    classifier = seqway("models", CLASSIFIER).stdout.decode()
    assert "editors, libs, games, net, web, x11" in classifier
    assert "Several labels at once" in classifier
    assert "num_beams 4" in seqway("models", "en-fr_int8").stdout.decode()
    assert json.loads(seqway("models", MANY, "--json").stdout)["target_languages"] == ["de", "en"]
    assert "UNKNOWN_MODEL" in refused("models", "nope")


@pytest.mark.parametrize(
    ("command", "task"),
    [
        (("summarize", "x"), "summarization"),
        (("summarize", "x", "--stream"), "summarization"),
        (("classify", "x"), "classification"),
        (("ask", "x", "--context", "y"), "question_answering"),
    ],
)
def test_a_refusal_is_one_line_with_the_reason(
    server: FakeServer, command: tuple[str, ...], task: str
) -> None:
    getattr(server, task).failure = FakeFailure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        (error_info("INVALID_OPTION"), bad_request("options.num_beams", "8 are the most")),
    )
    assert refused(*command) == "seqway: options.num_beams: 8 are the most [INVALID_OPTION]\n"
