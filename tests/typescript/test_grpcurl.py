"""The grpcurl commands of docs/clients.md, checked against the protos: methods, types, flags."""

import json
import re
import shlex
from dataclasses import dataclass

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped] # noqa: F401 - the pool's
from seqway.v1 import (
    classification_pb2,
    job_pb2,
    model_pb2,
    question_answering_pb2,
    summarization_pb2,
    translation_pb2,
)

from deploy.local.settings import ROOT

_VALUES = {"-d", "-H", "-cacert", "-cert", "-key", "-max-time"}
_SWITCHES = {"-plaintext", "-expand-headers"}
_VERBS = ("list", "describe")


@dataclass(frozen=True)
class Command:
    """One call of grpcurl: its flags, its arguments, and what it reads from standard input."""

    flags: dict[str, str]
    arguments: list[str]
    standard_input: str

    def __str__(self) -> str:
        return " ".join(self.arguments[1:])

    @property
    def messages(self) -> list[dict[str, object]]:
        """The requests: of `-d`, or one after the other of standard input."""
        text = self.flags.get("-d", "")
        return _json_values(self.standard_input if text == "@" else text)


def _commands() -> list[Command]:
    document = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    section = document.split("\n## grpcurl\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ")
    pattern = r"^(grpcurl [^\n]*?)(?: <<(\w+)\n(.*?)^\2)?$"
    found = re.findall(pattern, lines, re.DOTALL | re.MULTILINE)
    return [_parsed(command, heredoc) for command, _, heredoc in found]


def _parsed(command: str, heredoc: str) -> Command:
    words = iter(shlex.split(command)[1:])
    flags: dict[str, str] = {}
    arguments: list[str] = []
    for word in words:
        if word in _VALUES:
            flags[word] = next(words)
        elif word.startswith("-"):
            assert word in _SWITCHES, f"a flag that this test doesn't know: {word}"
            flags[word] = ""
        else:
            arguments.append(word)
    return Command(flags, arguments, heredoc.replace("$INPUT", "YQo="))


def _json_values(text: str) -> list[dict[str, object]]:
    decoder, values, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].strip()
    return values


def _method(command: Command) -> MethodDescriptor:
    service, name = command.arguments[1].split("/")
    found = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name)
    assert found is not None, f"{service} has no method {name}"
    return found


COMMANDS = _commands()
CALLS = [command for command in COMMANDS if command.arguments[1] not in _VERBS]


def test_every_service_is_shown() -> None:
    services = {_method(call).containing_service.full_name for call in CALLS}
    ours = {
        service.full_name
        for module in (
            classification_pb2,
            job_pb2,
            model_pb2,
            question_answering_pb2,
            summarization_pb2,
            translation_pb2,
        )
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    assert ours <= services


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_the_connection_is_told_once(command: Command) -> None:
    assert re.fullmatch(r"[\w.]+:\d+", command.arguments[0])
    assert ("-plaintext" in command.flags) != ("-cacert" in command.flags)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_the_messages_are_requests_of_the_method(call: Command) -> None:
    method = _method(call)
    request = message_factory.GetMessageClass(method.input_type)
    for message in call.messages:
        json_format.ParseDict(message, request())
    assert len(call.arguments) == 2
    assert method.client_streaming == (call.flags.get("-d") == "@")
    assert not method.client_streaming or len(call.messages) > 1


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if command.arguments[1] == "describe"], ids=str
)
def test_what_is_described_exists(command: Command) -> None:
    [symbol] = command.arguments[2:]
    descriptor_pool.Default().FindFileContainingSymbol(symbol)
