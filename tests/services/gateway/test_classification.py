import math
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import classification_pb2 as pb

from tests.services.twin import classifier


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    return await make_stack(manifests=[classifier()])


def request(*contents: str, **more: Any) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(contents=contents, **more)


async def classify(stack: Stack, *contents: str, **more: Any) -> list[pb.Classification]:
    answer = await stack.classification.Classify(request(*contents, **more))
    return list(answer.classifications)


def labels(one: pb.Classification) -> list[str]:
    return [each.label for each in one.labels]


async def test_scores_sum_to_one_and_come_best_first(stack: Stack) -> None:
    [first, second] = await classify(stack, "games games libs", "science")
    assert labels(first) == ["games", "libs", "science"] and labels(second)[0] == "science"
    assert sum(each.score for each in first.labels) == pytest.approx(1)
    assert [each.logit for each in first.labels] == [3, 1, -1]
    assert first.labels[0].score == pytest.approx(math.exp(4) / (math.exp(4) + math.exp(2) + 1))
    assert not first.multi_label and first.windows == 1 and not first.warnings
    assert first.input_tokens == 4


async def test_top_k_and_threshold(stack: Stack) -> None:
    assert labels((await classify(stack, "libs", top_k=2))[0]) == ["libs", "games"]
    assert labels((await classify(stack, "libs", threshold=0.5))[0]) == ["libs"]
    assert labels((await classify(stack, "libs", threshold=1))[0]) == []


async def test_several_labels_at_once(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[classifier(multi_label=True)])
    text = "games and libs"
    [one] = await classify(stack, text)
    assert one.multi_label and labels(one) == ["games", "libs"]
    assert one.labels[0].score == pytest.approx(1 / (1 + math.exp(-1)))
    assert len((await classify(stack, text, threshold=0))[0].labels) == 3
    assert not (await classify(stack, text, multi_label=False))[0].multi_label


async def test_a_long_text_is_read_in_windows_and_said(stack: Stack) -> None:
    stack.twin.limit = 10
    [one] = await classify(stack, "libs " * 20)
    assert one.windows == 3 and "3 windows" in one.warnings[0]


async def test_many_texts_share_requests_in_order(stack: Stack) -> None:
    names = ["games", "libs", "science"]
    answers = await classify(stack, *[names[n % 3] for n in range(100)], top_k=1)
    assert [labels(each)[0] for each in answers] == [names[n % 3] for n in range(100)]
    assert sorted(stack.twin.batches) == [4] + [8] * 12


async def test_no_call_floods_the_model(stack: Stack) -> None:
    stack.twin.gate.clear()
    call = stack.classification.Classify(request(*["libs"] * 200))
    await wait_until(lambda: stack.twin.running == 64)
    stack.twin.gate.set()
    assert len((await call).classifications) == 200


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (request(), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "contents")),
        (request("a", top_k=-1), ("INVALID_ARGUMENT", "INVALID_OPTION", "top_k")),
        (request("a", threshold=1.1), ("INVALID_ARGUMENT", "INVALID_OPTION", "threshold")),
        (request("a", threshold=math.nan), ("INVALID_ARGUMENT", "INVALID_OPTION", "threshold")),
        (request("a"), ("INVALID_ARGUMENT", "FIELD_REQUIRED", "model")),
        (request("a", model="nope"), ("NOT_FOUND", "UNKNOWN_MODEL", "model")),
        (request("a", "~", model="topic"), ("INTERNAL", "MODEL_FAILED", "contents[1]")),
    ],
)
async def test_bad_requests(
    make_stack: MakeStack, bad: pb.ClassifyRequest, expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(manifests=[classifier(), classifier("topic")])
    assert await failure(stack.classification.Classify(bad)) == expected


async def test_leaving_and_deadlines_cancel_upstream(stack: Stack) -> None:
    stack.twin.gate.clear()
    call = stack.classification.Classify(request(*["libs"] * 20))
    await wait_until(lambda: stack.twin.running == 20)
    call.cancel()
    await wait_until(lambda: stack.twin.cancelled == 20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.classification.Classify(request("libs"), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await wait_until(lambda: stack.twin.running == 0)


async def test_a_deadline_that_passes_says_why(make_stack: MakeStack) -> None:
    # The gateway's deadline passes long before the one that gRPC itself holds the call to.
    stack = await make_stack(manifests=[classifier()], deadline_margin=9.7)
    stack.twin.gate.clear()
    call = stack.classification.Classify(request("libs"), timeout=10.0)
    assert await failure(call) == ("DEADLINE_EXCEEDED", "DEADLINE_PASSED", "")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Stub process is not healthy.", ("UNAVAILABLE", "MODEL_NOT_READY", "")),
        ("Request for unknown model: 'x'", ("UNAVAILABLE", "MODEL_NOT_READY", "")),
        ("bang", ("INTERNAL", "MODEL_FAILED", "")),
    ],
)
async def test_faults_of_the_model(
    make_stack: MakeStack, message: str, expected: tuple[str, str, str]
) -> None:
    stack = await make_stack(manifests=[classifier()], health_interval=60)
    stack.twin.error = message
    assert await failure(stack.classification.Classify(request("a"))) == expected


async def test_a_lost_triton_is_named(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[classifier()], health_interval=60)
    await stack.twin.stop()
    expected = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
    assert await failure(stack.classification.Classify(request("a"))) == expected
