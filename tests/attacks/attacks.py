"""The attacks: each checks the status that it gets, is bounded, and stops by itself."""

import gzip
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import h2.exceptions
import pytest
from seqway import Client, SeqwayError
from seqway.v1 import job_pb2, job_pb2_grpc, translation_pb2, translation_pb2_grpc

from tests.attacks.http2 import RawConnection

TRANSLATE = "/seqway.v1.TranslationService/Translate"
STREAM = "/seqway.v1.TranslationService/StreamTranslate"
DOCUMENT = "\n".join(f"This is line {n} of a text about editors." for n in range(40))
STREAMS = 4
"""How many an attacker may have at a time."""
SHORT = "This text editor is small. It is fast."

_TRIES = 500
_HELD_SECONDS = 10.0
_OK, _INVALID, _NOT_FOUND, _EXHAUSTED = "0", "3", "5", "8"
_UNIMPLEMENTED, _UNAUTHENTICATED = "12", "16"


@dataclass
class Target:
    """A gateway, the attacker's own keys, and what is there to be stolen."""

    port: int
    key: str
    expired_key: str
    job: str
    inputs: Path
    secret: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @cached_property
    def metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.key}")]


def request(text: str = "A text editor.") -> bytes:
    return translation_pb2.TranslateRequest(
        contents=[text], source_language_code="en", target_language_code="fr"
    ).SerializeToString()


def calls_without_a_good_key(target: Target) -> None:
    """None, a wrong one, an expired one; and none with a request that would be large."""
    wrong = target.key[:-2] + ("aa" if target.key[-2:] != "aa" else "bb")
    with RawConnection(target.port) as connection:
        for key in (None, wrong, target.expired_key, "", "\x7f" * 2000) * 60:
            metadata = [("authorization", f"Bearer {key}")] if key is not None else []
            number = connection.open(TRANSLATE, metadata)
            connection.message(number, request())
            assert connection.wait(number).status == _UNAUTHENTICATED
        number = connection.open(TRANSLATE)
        connection.send(number, struct.pack(">?I", False, 8 << 20) + bytes(8 << 20), end=True)
        assert connection.wait(number).status == _UNAUTHENTICATED


def jobs_of_another_tenant(target: Target) -> None:
    """Every method answers as for a job that is not there."""
    with Client(target.address, api_key=target.key) as client:
        jobs = client.jobs
        tries: list[Callable[[str], Any]] = [
            jobs.get,
            jobs.cancel,
            jobs.resume,
            jobs.delete,
            lambda job: list(jobs.watch(job)),
            lambda job: list(jobs.results(job)),
        ]
        for attempt in tries:
            told = []
            for job in (target.job, target.job[::-1], "../" + target.job, "", target.job + "\0"):
                try:
                    attempt(job)
                except SeqwayError as error:
                    told.append((error.reason, error.message))
                else:
                    raise AssertionError(f"{attempt} of {job!r} was answered")
            assert told[0] == told[1] == ("UNKNOWN_JOB", "there is no such job")
        assert list(jobs.list()) == []


def lengths_that_are_not_so(target: Target) -> None:
    """A header that announces a GiB, and one that announces more than comes."""
    for length in (1 << 30, 0xFFFFFFFF):
        with RawConnection(target.port) as connection:
            number = connection.open(TRANSLATE, target.metadata)
            connection.send(number, struct.pack(">?I", False, length) + bytes(1 << 20))
            assert connection.wait(number).status == _EXHAUSTED
    with RawConnection(target.port) as connection:
        number = connection.open(TRANSLATE, target.metadata)
        connection.send(number, struct.pack(">?I", False, 1000) + bytes(10), end=True)
        connection.wait(number, 2.0)
        assert connection.streams[number].status != _OK


def bombs(target: Target) -> None:
    """A GiB in a MiB: as a message, and as the input of a job."""
    bomb = gzip.compress((b"x" * 1023 + b"\n") * (64 << 10), 9) * 16
    with RawConnection(target.port) as connection:
        metadata = [*target.metadata, ("grpc-encoding", "gzip")]
        number = connection.open(TRANSLATE, metadata)
        connection.message(number, bomb, compressed=True)
        assert connection.wait(number).status == _UNIMPLEMENTED
    path = target.inputs / "bomb.txt.gz"
    path.write_bytes(bomb)
    with (
        Client(target.address, api_key=target.key) as client,
        pytest.raises(SeqwayError, match="which is the limit") as caught,
    ):
        client.jobs.translate(path, source="en", target="fr")
    assert caught.value.reason == "INVALID_INPUT"


def rapid_resets(target: Target) -> None:
    """Calls that are taken back as soon as they are made (CVE-2023-44487)."""
    for _ in range(5):
        with RawConnection(target.port) as connection, suppress(h2.exceptions.ProtocolError):
            for _ in range(2000):
                if connection.closed:
                    break
                connection.reset(connection.open(TRANSLATE, target.metadata))


def frame_floods(target: Target) -> None:
    """Frames that gRPC answers, or ignores, for as long as they come; each ends its connection."""
    ping, settings = b"\0\0\x08\x06" + bytes(5) + b"01234567", b"\0\0\0\x04" + bytes(5)
    window = b"\0\0\x04\x08" + bytes(5) + b"\0\0\0\x01"
    for frame in (ping, settings, window):
        with RawConnection(target.port) as connection:
            connection.flood(frame, _HELD_SECONDS)
            assert connection.closed, frame


def silent_connections(target: Target, count: int = 200) -> None:
    """Connections on which nothing comes, or nothing behind the preface, or no request."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", target.port)))
            stack.enter_context(RawConnection(target.port))
            stack.enter_context(RawConnection(target.port)).open(TRANSLATE, target.metadata)
        time.sleep(_HELD_SECONDS / 5)


def disconnects_in_mid_stream(target: Target, count: int = 1000) -> None:
    """Streams whose callers leave when the first text has come."""
    stub_request = translation_pb2.StreamTranslateRequest.FromString(request(SHORT))

    def leave(number: int) -> None:
        with grpc.insecure_channel(
            target.address, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)
            for _ in range(_TRIES):
                call = stub.StreamTranslate(stub_request, metadata=target.metadata, timeout=60)
                try:
                    assert next(iter(call)), number
                    return
                except grpc.RpcError as error:  # those who left have not all been noticed yet
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
                    time.sleep(0.01)
            raise AssertionError(f"stream {number} never began")

    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(leave, range(count)))


def slow_readers(target: Target) -> None:
    """Streams that nobody reads, until their connections end: not a byte of text is taken."""
    with RawConnection(target.port, greedy=False) as connection:
        opened = [connection.open(STREAM, target.metadata) for _ in range(STREAMS)]
        for number in opened:
            connection.message(number, request(DOCUMENT))
        connection.wait(opened[-1], _HELD_SECONDS)
        for number in opened:
            stream = connection.streams[number]
            # Those of the attack before may not have been noticed yet.
            assert stream.status in ("", _EXHAUSTED) and not stream.received


def malformed_messages(target: Target) -> None:
    """Bytes that are no message, and texts that are no UTF-8."""
    texts = [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"a\x80"]
    wrong = [b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f", *(_with_text(each) for each in texts)]
    with RawConnection(target.port) as connection:
        for data in wrong:
            number = connection.open(TRANSLATE, target.metadata)
            connection.message(number, data)
            stream = connection.wait(number)
            assert stream.status == _INVALID, (data, stream)


def uris_that_lead_elsewhere(target: Target) -> None:
    """Out of the folder that is allowed, to other hosts, to other buckets."""
    folder, secret = target.inputs, target.secret
    link = folder / "link.txt"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    inside = f"file://{folder}"
    uris = [
        f"file://{secret}",
        f"{inside}/../{secret.name}",
        f"{inside}/%2e%2e/{secret.name}",
        f"{inside}/..%2f{secret.name}",
        f"{inside}/link.txt",
        f"{inside}x/../{secret.name}",
        f"file://evil.example{folder}/input.txt",
        f"{inside}/input.txt?x=1",
        f"{inside}/input.txt%00.jsonl",
        "file:///proc/self/environ",
        "file:///dev/zero",
        f"http://127.0.0.1:{target.port}/",
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/",
        "s3://other-bucket/secret.txt",
        "s3://key:secret@127.0.0.1/bucket/secret.txt",
        "gs://other-bucket/secret.txt",
        "az://container/secret.txt",
        "ftp://127.0.0.1/secret.txt",
        "//127.0.0.1/secret.txt",
        "secret.txt",
    ]
    with grpc.insecure_channel(target.address) as channel:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)
        for uri in uris:
            spec = job_pb2.JobSpec(translate=_task(), input=job_pb2.JobInput(uri=uri))
            call = [job_pb2.CreateJobRequest(spec=spec)]
            with pytest.raises(grpc.RpcError) as caught:
                stub.CreateJob(iter(call), metadata=target.metadata)
            failure: Any = caught.value
            assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT, uri
            assert (
                "is no readable file" in failure.details()
                or "must" in failure.details()
                or ("is not within" in failure.details())
            ), uri


def _task() -> translation_pb2.TranslateRequest:
    return translation_pb2.TranslateRequest(source_language_code="en", target_language_code="fr")


def _with_text(text: bytes) -> bytes:
    """A request whose text is these bytes: field 1, as the languages that are good follow."""
    return b"\x0a" + bytes([len(text)]) + text + request()


ATTACKS: tuple[Callable[[Target], None], ...] = (
    calls_without_a_good_key,
    jobs_of_another_tenant,
    lengths_that_are_not_so,
    bombs,
    rapid_resets,
    frame_floods,
    silent_connections,
    disconnects_in_mid_stream,
    slow_readers,
    malformed_messages,
    uris_that_lead_elsewhere,
)
