import json
import subprocess
import sys
from pathlib import Path

from tests.integration import texts
from tests.integration.conftest import INT8, Alone

PROGRAM = Path(sys.executable).with_name("seqway")
DOCUMENT = "A text editor.\r\n\r\n\tIt is small. \n"


def seqway(
    address: str, *arguments: str, stdin: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, *arguments, "--address", address],
        input=stdin.encode() if stdin is not None else b"",
        capture_output=True,
        timeout=60,
    )


def output(finished: subprocess.CompletedProcess[bytes]) -> str:
    assert (finished.returncode, finished.stderr) == (0, b"")
    return finished.stdout.decode()


def test_arguments(address: str, alone: Alone) -> None:
    contents = texts.short(2)
    shown = output(seqway(address, "translate", "--from", "en", "--to", "fr", *contents))
    assert shown == "".join(f"{alone(INT8, text).text}\n" for text in contents)


def test_a_document_on_standard_input_comes_streamed_as_whole(address: str, alone: Alone) -> None:
    expected = alone(INT8, DOCUMENT).text
    assert output(seqway(address, "translate", stdin=DOCUMENT)) == expected
    assert output(seqway(address, "translate", "--stream", stdin=DOCUMENT)) == expected


def test_json(address: str, alone: Alone) -> None:
    [text] = texts.short(1)
    answer = json.loads(output(seqway(address, "translate", "--json", text)))
    assert answer["model"] == INT8
    assert answer["translations"][0]["text"] == alone(INT8, text).text


def test_json_events(address: str, alone: Alone) -> None:
    [text] = texts.short(1)
    lines = output(seqway(address, "translate", "--json", "--stream", text)).splitlines()
    events = [json.loads(line) for line in lines]
    deltas = [event["text"] for event in events if event["event"] == "delta"]
    assert "".join(deltas) == alone(INT8, text).text
    assert [event["event"] for event in events[-2:]] == ["end", "summary"]


def test_models(address: str) -> None:
    models = json.loads(output(seqway(address, "models", "--json")))
    assert [(model["name"], model["ready"]) for model in models] == [
        (f"{model}_{precision}", True)
        for model in ("deb-section", "deb-summary", "en-fr")
        for precision in ("fp32", "int8")
    ]


def test_a_wrong_language_is_told_in_one_line(address: str) -> None:
    finished = seqway(address, "translate", "--to", "de", "A text editor.")
    assert (finished.returncode, finished.stdout) == (1, b"")
    complaint = finished.stderr.decode()
    assert "[UNKNOWN_LANGUAGE_PAIR]" in complaint and "en to fr" in complaint
    assert complaint.count("\n") == 1
