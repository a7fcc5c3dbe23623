from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from seqway import Client, DeadlineError, InvalidRequestError, NotFoundError, SeqwayError
from seqway.transport.status import error_of

from tests.integration import texts
from tests.integration.conftest import INT8

Call = Callable[..., Any]

METHODS = (
    "seqway.v1.TranslationService/Translate",
    "seqway.v1.TranslationService/StreamTranslate",
    "seqway.v1.ModelService/GetModel",
    "seqway.v1.ModelService/ListModels",
)
REFUSALS: dict[str, tuple[dict[str, Any], type[SeqwayError], str, str]] = {
    "no text": ({"text": []}, InvalidRequestError, "FIELD_REQUIRED", "contents"),
    "unknown source": (
        {"source": "tlh"},
        InvalidRequestError,
        "UNKNOWN_LANGUAGE_PAIR",
        "source_language_code",
    ),
    "unknown target": (
        {"target": "de"},
        InvalidRequestError,
        "UNKNOWN_LANGUAGE_PAIR",
        "target_language_code",
    ),
    "no language": ({"target": ""}, InvalidRequestError, "FIELD_REQUIRED", "target_language_code"),
    "no such language": (
        {"source": "english"},
        InvalidRequestError,
        "INVALID_LANGUAGE",
        "source_language_code",
    ),
    "undecided language": (
        {"text": ["Ez egy nagyon kicsi szövegszerkesztő."], "source": "auto"},
        InvalidRequestError,
        "UNDECIDED_LANGUAGE",
        "contents[0]",
    ),
    "unknown model": ({"model": "en-fr_fp64"}, NotFoundError, "UNKNOWN_MODEL", "model"),
    "text over the limit": (
        {"text": "a " * 500_001},
        InvalidRequestError,
        "TEXT_TOO_LONG",
        "contents[0]",
    ),
    "call over the limit": (
        {"text": ["a" * 1_000_000] * 5},
        InvalidRequestError,
        "CALL_TOO_LONG",
        "contents",
    ),
    "too many texts": (
        {"text": ["a"] * 1025},
        InvalidRequestError,
        "TOO_MANY_CONTENTS",
        "contents",
    ),
    "negative token limit": (
        {"max_new_tokens": -1},
        InvalidRequestError,
        "INVALID_OPTION",
        "options.max_new_tokens",
    ),
}


@pytest.fixture(params=["unary", "stream"])
def translate(request: pytest.FixtureRequest, client: Client) -> Call:
    """Both ways to call, to the end."""

    def call(**changes: Any) -> None:
        arguments = {"text": "A text editor.", "source": "en", "target": "fr", **changes}
        if request.param == "unary":
            client.translate(**arguments)
        else:
            for _ in client.stream_translate(**arguments):
                pass

    return call


@pytest.fixture(autouse=True)
def lives_on(client: Client) -> Iterator[None]:
    """Whatever was asked, the next call is served."""
    yield
    answer = client.translate("A text editor.", source="en", target="fr", model=INT8)
    assert answer.translations[0].text


@pytest.mark.parametrize(
    ("changes", "kind", "reason", "field"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_a_refusal_names_reason_and_field(
    translate: Call, changes: dict[str, Any], kind: type[SeqwayError], reason: str, field: str
) -> None:
    with pytest.raises(kind) as refused:
        translate(**changes)
    error = refused.value
    assert (error.reason, error.domain) == (reason, "seqway")
    assert [violation.field for violation in error.violations] == [field]


def test_an_endless_token_limit_is_the_models_own(translate: Call) -> None:
    translate(max_new_tokens=2**31 - 1)


def test_a_deadline_of_a_millisecond_passes(translate: Call) -> None:
    with pytest.raises(DeadlineError):
        translate(timeout=0.001)


def test_a_deadline_in_mid_work_passes(translate: Call) -> None:
    with pytest.raises(DeadlineError):
        translate(text="\n".join(8 * texts.long_sentences(64)), timeout=0.3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x0a\x01\xff"])
def test_a_malformed_message_is_refused(channel: grpc.Channel, method: str, data: bytes) -> None:
    send: Any = channel.unary_stream(f"/{method}")
    call = send(data, timeout=10)
    if method.endswith("ListModels") and data == b"\x0a\x01\xff":
        assert list(call)  # a field that this message does not have
        return
    with pytest.raises(grpc.RpcError) as refused:
        list(call)
    error = error_of(refused.value)
    assert isinstance(error, InvalidRequestError)
    assert error.reason == "MALFORMED_MESSAGE"


def test_a_message_beyond_all_bounds_is_refused(channel: grpc.Channel) -> None:
    send: Any = channel.unary_stream(f"/{METHODS[0]}")
    with pytest.raises(grpc.RpcError) as refused:
        list(send(b"\x0a" * (17 << 20), timeout=10))
    assert error_of(refused.value).reason == "MESSAGE_TOO_LARGE"


def test_an_unknown_method_is_refused(channel: grpc.Channel) -> None:
    send: Any = channel.unary_unary("/seqway.v1.TranslationService/Transmogrify")
    with pytest.raises(grpc.RpcError) as refused:
        send(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
