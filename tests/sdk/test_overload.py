"""What a client does when the server has no room for a call: it waits and asks again."""

import time

import grpc
import pytest
from seqway import Client, OverloadedError

from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure, error_info, retry_info

_HINT = 0.05


def overloaded(times: int, hint: float = _HINT, reason: str = "OVERLOADED") -> FakeFailure:
    details = (error_info(reason), retry_info(hint))
    return FakeFailure(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", details, times=times)


def test_a_refused_call_is_sent_again_after_the_hint(server: FakeServer) -> None:
    server.translation.failure = overloaded(times=7)
    began = time.monotonic()
    with Client(server.address) as client:
        assert client.translate("x", source="en", target="fr").text == "X"
    assert time.monotonic() - began >= 7 * _HINT
    assert len(server.translation.requests) == 8


def test_a_refused_stream_is_opened_again(server: FakeServer) -> None:
    server.translation.failure = overloaded(times=7)
    with Client(server.address) as client:
        stream = client.stream_translate("hey", source="en", target="fr")
        assert "".join(stream.text()) == "HEY"
        assert stream.summary is not None
    assert len(server.translation.requests) == 8


@pytest.mark.parametrize("reason", ["OVERLOADED", "QUOTA_EXCEEDED"])
def test_who_cannot_wait_is_told_at_once(server: FakeServer, reason: str) -> None:
    """The hint reaches beyond the timeout; or it is the tenant that is at its limit."""
    hint = 60.0 if reason == "OVERLOADED" else _HINT
    server.translation.failure = overloaded(times=99, hint=hint, reason=reason)
    with Client(server.address, timeout=30) as client:
        with pytest.raises(OverloadedError) as unary:
            client.translate("x", source="en", target="fr")
        with pytest.raises(OverloadedError):
            list(client.stream_translate("x", source="en", target="fr"))
    assert unary.value.retry_after == hint
    assert len(server.translation.requests) == 2


def test_the_refusal_is_raised_when_the_timeout_is_near(server: FakeServer) -> None:
    server.translation.failure = overloaded(times=999)
    with Client(server.address) as client:
        with pytest.raises(OverloadedError):
            client.translate("x", source="en", target="fr", timeout=0.3)
        with pytest.raises(OverloadedError):
            list(client.stream_translate("x", source="en", target="fr", timeout=0.3))
    assert len(server.translation.requests) > 2


def test_a_job_is_watched_once_there_is_room(server: FakeServer) -> None:
    with Client(server.address) as client:
        job = client.jobs.translate(["a", "b"], source="en", target="fr")
        server.jobs.failure = overloaded(times=2)
        assert [one.text for one in client.jobs.results(job.id)] == ["A", "B"]
