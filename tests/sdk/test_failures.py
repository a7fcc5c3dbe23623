import grpc
import pytest
from seqway import (
    AuthenticationError,
    CancelledError,
    Client,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    SeqwayError,
    ServerError,
    UnavailableError,
)

from tests.sdk.server import FakeServer
from tests.sdk.status import FakeFailure, bad_request, error_info, retry_info


def raised_by(server: FakeServer, failure: FakeFailure) -> SeqwayError:
    """What the unary call raises; the stream has to raise the same."""
    server.translation.failure = failure
    with Client(server.address, retry_overloaded=False) as client:
        with pytest.raises(SeqwayError) as unary:
            client.translate("x", source="en", target="fr")
        with pytest.raises(SeqwayError) as streamed:
            list(client.stream_translate("x", source="en", target="fr"))
    assert type(streamed.value) is type(unary.value)
    assert streamed.value.reason == unary.value.reason
    return unary.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.UNAUTHENTICATED, AuthenticationError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError),
        (grpc.StatusCode.CANCELLED, CancelledError),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.UNIMPLEMENTED, ServerError),
    ],
)
def test_each_status_has_its_exception(
    server: FakeServer, code: grpc.StatusCode, expected: type[SeqwayError]
) -> None:
    error = raised_by(server, FakeFailure(code, "no"))
    assert type(error) is expected
    assert (error.reason, error.message, error.domain) == (code.name, "no", "")


def test_a_bad_request_names_reason_and_field(server: FakeServer) -> None:
    details = (error_info("EMPTY_TEXT"), bad_request("contents[1]", "the text is empty"))
    error = raised_by(server, FakeFailure(grpc.StatusCode.INVALID_ARGUMENT, "bad", details))
    assert isinstance(error, InvalidRequestError)
    assert (error.reason, error.field) == ("EMPTY_TEXT", "contents[1]")
    assert error.violations[0].description == "the text is empty"
    assert error.metadata == {"key": "value"}


def test_an_overload_says_when_to_ask_again(server: FakeServer) -> None:
    details = (error_info("OVERLOADED"), retry_info(0.5))
    error = raised_by(server, FakeFailure(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", details))
    assert isinstance(error, OverloadedError)
    assert error.retry_after == 0.5


def test_unavailable_is_tried_again(server: FakeServer) -> None:
    server.translation.failure = FakeFailure(grpc.StatusCode.UNAVAILABLE, "moment", times=2)
    with Client(server.address) as client:
        assert client.translate("x", source="en", target="fr").text == "X"
        assert len(server.translation.requests) == 3


def test_a_stream_that_has_not_begun_is_tried_again(server: FakeServer) -> None:
    server.translation.failure = FakeFailure(grpc.StatusCode.UNAVAILABLE, "moment", times=2)
    with Client(server.address) as client:
        assert "".join(client.stream_translate("x", source="en", target="fr").text()) == "X"


def test_unavailable_is_not_tried_for_ever(server: FakeServer) -> None:
    server.translation.failure = FakeFailure(
        grpc.StatusCode.UNAVAILABLE, "down", (error_info("TRITON_UNAVAILABLE"),)
    )
    with Client(server.address) as client:
        with pytest.raises(UnavailableError) as raised:
            client.translate("x", source="en", target="fr")
        assert len(server.translation.requests) == 4
    assert raised.value.reason == "TRITON_UNAVAILABLE"


def test_other_failures_are_not_tried_again(server: FakeServer) -> None:
    raised_by(server, FakeFailure(grpc.StatusCode.INTERNAL, "broken"))
    assert len(server.translation.requests) == 2  # one unary call, one stream


def test_no_server_is_unavailable() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(UnavailableError):
        client.translate("x", source="en", target="fr")


def test_the_timeout_of_a_call_is_kept(server: FakeServer) -> None:
    server.translation.held = True
    with Client(server.address) as client, pytest.raises(DeadlineError):
        list(client.stream_translate("hey", source="en", target="fr", timeout=0.2))


def test_a_request_too_large_to_send_is_refused_here(server: FakeServer) -> None:
    with Client(server.address) as client, pytest.raises(InvalidRequestError) as raised:
        client.translate("x" * 5_000_000, source="en", target="fr")
    assert raised.value.reason == "MESSAGE_TOO_LARGE"
    assert server.translation.requests == []


def test_an_answer_too_large_is_no_overload(server: FakeServer) -> None:
    text = "ŉ" * 7_000_000  # upper case "ʼN": 3 bytes for 2
    with Client(server.address) as client, pytest.raises(InvalidRequestError) as raised:
        client.translate(text, source="en", target="fr")
    assert raised.value.reason == "MESSAGE_TOO_LARGE"
