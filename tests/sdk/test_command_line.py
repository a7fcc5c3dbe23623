import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.sdk.command_line import COMMAND, refused, seqway
from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure, bad_request, error_info, retry_info

pytestmark = pytest.mark.usefixtures("environment")


def test_arguments_are_translated_one_by_one() -> None:
    assert seqway("translate", "hello", "wörld").stdout.decode() == "HELLO\nWÖRLD\n"


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_standard_input_is_one_document(server: FakeServer, stream: list[str]) -> None:
    document = "one.\r\n\r\n\ttwo. \n"
    assert seqway("translate", *stream, stdin=document.encode()).stdout == b"ONE.\r\n\r\n\tTWO. \n"
    assert len(server.translation.requests) == 1


def test_a_file_is_one_document(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("one\n\ntwo")
    assert seqway("translate", "--file", file).stdout == b"ONE\n\nTWO\n"


def test_several_streamed_texts_come_in_order() -> None:
    assert seqway("translate", "--stream", "abc", "de", "f").stdout == b"ABC\nDE\nF\n"


def test_a_stream_is_printed_as_it_comes(server: FakeServer) -> None:
    server.translation.held = True
    with subprocess.Popen(
        [*COMMAND, "translate", "--stream", "hey"], stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stdout.read(1) == b"H"  # while the server holds back the rest
        server.translation.released.set()
        assert running.stdout.read() == b"EY\n"


def test_json_tells_all() -> None:
    answer = json.loads(seqway("translate", "--json", "hello").stdout)
    assert answer["translations"][0]["text"] == "HELLO"
    assert answer["translations"][0]["finish_reason"] == "EOS"
    assert answer["model"] == "en-fr_int8"
    assert answer["timings"] == {"queue": 0.001, "first_token": 0.005, "total": 1.5}


def test_json_of_a_stream_is_an_event_a_line() -> None:
    lines = seqway("translate", "--json", "--stream", "hi").stdout.splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["delta", "delta", "end", "summary"]


def test_warnings_go_to_stderr() -> None:
    finished = seqway("translate", "warn me")
    assert finished.stdout == b"WARN ME\n"
    assert finished.stderr == b"seqway: warning: it was split\n"


def test_a_refusal_is_one_line_with_the_reason(server: FakeServer) -> None:
    server.translation.failure = FakeFailure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        (error_info("EMPTY_TEXT"), bad_request("contents[0]", "the text is empty")),
    )
    assert refused("translate", "") == "seqway: contents[0]: the text is empty [EMPTY_TEXT]\n"


def test_an_overload_says_when_to_try_again(server: FakeServer) -> None:
    server.translation.failure = FakeFailure(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "too busy", (error_info("OVERLOADED"), retry_info(5))
    )
    line = refused("translate", "--stream", "--timeout", "3", "x")
    assert line == "seqway: too busy [OVERLOADED]. Try again in 5 s.\n"


def test_no_server_says_what_to_do() -> None:
    line = refused("translate", "x", "--address", "127.0.0.1:1")
    assert line.startswith("seqway: no answer [UNAVAILABLE]. Is the server at 127.0.0.1:1 up?")
    assert line.count("\n") == 1


def test_a_timeout_says_what_to_do(server: FakeServer) -> None:
    server.translation.held = True
    finished = seqway("translate", "--stream", "--timeout", "0.3", "x")
    assert finished.returncode == 1
    assert b"--timeout" in finished.stderr


def test_an_interrupt_ends_the_command_and_the_call(server: FakeServer) -> None:
    server.translation.held = True
    with subprocess.Popen(
        [*COMMAND, "translate", "--stream", "hey"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert b"Traceback" not in running.stderr.read()
    assert server.translation.cancelled.wait(10)


def test_a_reader_that_leaves_is_no_failure_to_tell(server: FakeServer) -> None:
    with subprocess.Popen(
        [*COMMAND, "translate", "--stream", "word " * 5000],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        os.read(running.stdout.fileno(), 1)
        running.stdout.close()
        assert running.stderr.read() == b""
        running.wait(30)


def test_help_names_every_option() -> None:
    shown = seqway("translate", "--help").stdout.decode()
    for option in ("--file", "--from", "--to", "--model", "--stream", "--json", "--address"):
        assert option in shown
