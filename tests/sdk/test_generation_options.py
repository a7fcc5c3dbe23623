from typing import Any

import pytest
from seqway import Client, GenerationOptions, InvalidRequestError, Sampling
from seqway.v1 import generation_pb2 as pb
from seqway.v1.summarization_pb2 import StreamSummarizeRequest

from tests.sdk.server import FakeServer

EVERY_OPTION = GenerationOptions(
    max_new_tokens=90,
    min_new_tokens=2,
    num_beams=4,
    length_penalty=0.6,
    early_stopping="never",
    num_hypotheses=3,
    sampling=Sampling(temperature=0.7, top_k=0, top_p=0.9, seed=2**64 - 1),
    no_repeat_ngram_size=3,
    repetition_penalty=1.2,
    target_prefix="Le ",
    token_log_probs=True,
    stop_repetition=False,
    priority="bulk",
)


def sent(
    server: FakeServer, options: GenerationOptions | None, **more: Any
) -> pb.GenerationOptions:
    """What reaches the server by a unary call and by a stream, which have to be equal."""
    with Client(server.address) as client:
        client.translate("x", source="en", target="fr", options=options, **more)
        list(client.stream_summarize("a b", options=options, **more))
    streamed = server.summarization.requests[-1]
    assert isinstance(streamed, StreamSummarizeRequest)
    assert server.translation.requests[-1].options == streamed.options  # type: ignore[attr-defined]
    return streamed.options


def test_every_option_reaches_the_server(server: FakeServer) -> None:
    assert sent(server, EVERY_OPTION) == pb.GenerationOptions(
        max_new_tokens=90,
        min_new_tokens=2,
        num_beams=4,
        length_penalty=0.6,
        early_stopping=pb.EARLY_STOPPING_NEVER,
        num_hypotheses=3,
        sampling=pb.Sampling(temperature=0.7, top_k=0, top_p=0.9, seed=2**64 - 1),
        no_repeat_ngram_size=3,
        repetition_penalty=1.2,
        target_prefix="Le ",
        token_log_probs=True,
        stop_repetition=False,
        priority=pb.PRIORITY_BULK,
    )


def test_the_python_options_are_those_of_the_protocol() -> None:
    of_protocol = {field.name for field in pb.GenerationOptions.DESCRIPTOR.fields}
    assert set(GenerationOptions.__dataclass_fields__) == of_protocol
    assert set(Sampling.__dataclass_fields__) == {
        field.name for field in pb.Sampling.DESCRIPTOR.fields
    }


def test_what_is_not_given_is_left_to_the_server(server: FakeServer) -> None:
    assert sent(server, None) == pb.GenerationOptions()
    assert sent(server, GenerationOptions()) == pb.GenerationOptions()


def test_zero_and_false_are_given(server: FakeServer) -> None:
    options = GenerationOptions(
        no_repeat_ngram_size=0, length_penalty=0.0, early_stopping=False, stop_repetition=False
    )
    message = sent(server, options)
    assert message.HasField("no_repeat_ngram_size")
    assert message.HasField("length_penalty")
    assert message.HasField("stop_repetition")
    assert message.early_stopping == pb.EARLY_STOPPING_FALSE


def test_sampling_with_the_servers_defaults_is_still_sampling(server: FakeServer) -> None:
    message = sent(server, GenerationOptions(sampling=Sampling()))
    assert message.HasField("sampling")
    assert message.sampling == pb.Sampling()


def test_the_limit_may_stand_beside_the_options(server: FakeServer) -> None:
    message = sent(server, GenerationOptions(num_beams=2), max_new_tokens=7)
    assert (message.num_beams, message.max_new_tokens) == (2, 7)
    with Client(server.address) as client, pytest.raises(ValueError, match="twice"):
        client.summarize("x", options=GenerationOptions(max_new_tokens=8), max_new_tokens=7)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"num_beams": 2**40}, "options.num_beams"),
        ({"num_beams": "four"}, "options.num_beams"),
        ({"early_stopping": "maybe"}, "options.early_stopping"),
        ({"priority": "high"}, "options.priority"),
        ({"sampling": Sampling(seed=-1)}, "options.sampling.seed"),
    ],
)
def test_a_value_that_cannot_be_sent_names_its_field(
    server: FakeServer, options: dict[str, Any], field: str
) -> None:
    with Client(server.address) as client, pytest.raises(InvalidRequestError) as raised:
        client.summarize("x", options=GenerationOptions(**options))
    assert (raised.value.field, raised.value.reason) == (field, "INVALID_OPTION")
    assert server.summarization.requests == []
