import asyncio
import os
import signal
import sys
from contextlib import suppress

import grpc
import pytest
from gateway_stack import PATIENCE, MakeStack, Stack, wait_until
from grpc_health.v1 import health_pb2
from seqway.v1 import classification_pb2, model_pb2
from seqway.v1 import translation_pb2 as pb

from services.foundation.endpoints import PortInUseError
from services.foundation.environment import read_settings
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings
from tests.services.twin import classifier, extractor, summarizer

TRANSLATION = "seqway.v1.TranslationService"
SERVING = health_pb2.HealthCheckResponse.SERVING
LIST = model_pb2.ListModelsRequest()
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_dead_model_is_noticed_and_so_is_its_return(make_stack: MakeStack) -> None:
    stack = await make_stack(probe_timeout=2.0)
    watch = stack.health.Watch(health_pb2.HealthCheckRequest(service=TRANSLATION))
    assert (await watch.read()).status == SERVING
    stack.twin.dead = {"en-fr_int8", "en-fr_fp32"}
    assert (await asyncio.wait_for(watch.read(), PATIENCE)).status == NOT_SERVING
    await wait_until(lambda: stack.serves("seqway.v1.ModelService"))
    stack.twin.dead = set()
    assert (await asyncio.wait_for(watch.read(), PATIENCE)).status == SERVING
    watch.cancel()


async def test_each_service_serves_with_its_models(make_stack: MakeStack) -> None:
    stack = await make_stack(probe_timeout=2.0, manifests=[classifier(), extractor(), summarizer()])

    async def all_serve() -> bool:
        names = ("Summarization", "Classification", "QuestionAnswering")
        return all([await stack.serves(f"seqway.v1.{name}Service") for name in names])

    await wait_until(all_serve)
    assert not await stack.serves(TRANSLATION) and await stack.serves()
    stack.twin.dead = {"section_fp32"}

    async def noticed() -> bool:
        return not await stack.serves("seqway.v1.ClassificationService")

    await wait_until(noticed)
    await wait_until(lambda: stack.serves("seqway.v1.QuestionAnsweringService"))
    assert await stack.serves()
    stack.twin.dead = set()
    await wait_until(all_serve)


async def test_a_busy_encoder_is_not_dead_until_its_patience_ends(make_stack: MakeStack) -> None:
    stack = await make_stack(probe_timeout=1.0, encoder_patience=2.0, manifests=[classifier()])
    stack.twin.gate.clear()
    call = stack.classification.Classify(classification_pb2.ClassifyRequest(contents=["libs"]))
    # Only a model that has work is excused.
    await wait_until(lambda: stack.twin.running > 0)
    stack.twin.busy = True
    started = asyncio.get_running_loop().time()
    await wait_until(stack.does_not_serve)
    assert asyncio.get_running_loop().time() - started > 0.9
    stack.twin.gate.set()
    assert len((await call).classifications) == 1
    await wait_until(stack.serves)


async def test_drain_lets_a_classification_finish(make_stack: MakeStack) -> None:
    stack = await make_stack(drain_wait=0.2, drain_grace=10, manifests=[classifier()])
    stack.twin.gate.clear()
    call = stack.classification.Classify(classification_pb2.ClassifyRequest(contents=["libs"]))
    await wait_until(lambda: stack.twin.running == 1)
    drain = asyncio.create_task(stack.gateway.drain())
    await wait_until(stack.does_not_serve)
    stack.twin.gate.set()
    assert (await call).classifications[0].labels[0].label == "libs"
    await asyncio.wait_for(drain, 10)


async def test_a_model_that_answers_calls_but_no_probe_lives(make_stack: MakeStack) -> None:
    stack = await make_stack(probe_timeout=1.0, triton_patience=30.0)
    stack.twin.deaf = {"en-fr_int8", "en-fr_fp32"}
    request = pb.TranslateRequest(
        contents=["a"], source_language_code="en", target_language_code="fr"
    )

    async def look() -> list[bool]:
        for model in ("en-fr_int8", "en-fr_fp32"):
            request.model = model
            await stack.translation.Translate(request, timeout=5)
        return [each.ready for each in (await stack.models.ListModels(LIST)).models]

    until = asyncio.get_running_loop().time() + 3.0
    while asyncio.get_running_loop().time() < until:
        assert await look() == [True, True]
    await wait_until(stack.does_not_serve)


@pytest.mark.parametrize("fault", ["full", "one lane hangs"])
async def test_a_model_that_is_deaf_for_long_is_dead(make_stack: MakeStack, fault: str) -> None:
    """Refusals need no lane, and one lane may work on where another hangs."""
    stack = await make_stack(probe_timeout=0.1, triton_patience=0.5)
    stack.twin.deaf = {"en-fr_int8", "en-fr_fp32"}
    stack.twin.capacity = 0 if fault == "full" else 1000
    request = pb.TranslateRequest(
        contents=["a"], source_language_code="en", target_language_code="fr"
    )

    async def is_noticed() -> bool:
        with suppress(grpc.aio.AioRpcError):
            await stack.translation.Translate(request, timeout=5)
        return await stack.does_not_serve()

    await wait_until(is_noticed)


async def test_one_dead_variant_is_replaced_by_the_other(make_stack: MakeStack) -> None:
    stack = await make_stack(probe_timeout=2.0)
    stack.twin.dead = {"en-fr_int8"}
    request = pb.TranslateRequest(
        contents=["a"], source_language_code="en", target_language_code="fr"
    )

    async def moved() -> bool:
        try:
            answer = await stack.translation.Translate(request, timeout=1.0)
        except grpc.aio.AioRpcError:
            return False
        return answer.model == "en-fr_fp32"

    await wait_until(moved)
    await wait_until(stack.serves)


async def test_a_call_fails_when_the_process_of_its_model_dies(stack: Stack) -> None:
    stack.twin.gate.clear()
    call = stack.translation.StreamTranslate(
        pb.StreamTranslateRequest(
            contents=["one two"], source_language_code="en", target_language_code="fr"
        )
    )
    await call.read()
    stack.twin.error = "Stub process 'en-fr_int8_0_0' is not healthy."
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asyncio.wait_for(call.read(), 5)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == "the model has stopped"


async def test_an_unloaded_model_is_known_and_not_ready(stack: Stack) -> None:
    stack.twin.unloaded = {"en-fr_int8", "en-fr_fp32"}
    await wait_until(stack.does_not_serve)
    stack.twin.unloaded = set()
    await wait_until(stack.serves)


async def test_drain_lets_calls_finish(make_stack: MakeStack) -> None:
    stack = await make_stack(drain_wait=0.2, drain_grace=10)
    stack.twin.gate.clear()
    call = stack.translation.StreamTranslate(
        pb.StreamTranslateRequest(
            contents=["one two"], source_language_code="en", target_language_code="fr"
        )
    )
    await call.read()
    drain = asyncio.create_task(stack.gateway.drain())
    await wait_until(stack.does_not_serve)
    stack.twin.gate.set()
    message = await call.read()
    while not message.HasField("summary"):
        message = await call.read()
    assert message.summary.model == "en-fr_int8"
    await asyncio.wait_for(drain, 10)


async def test_a_port_in_use_is_one_sentence(stack: Stack) -> None:
    settings = read_settings(
        GatewaySettings, gateway_port=stack.gateway.port, triton_url=stack.twin.url
    )
    other = Gateway(settings)
    with pytest.raises(PortInUseError, match="in use"):
        await other.start()
    await other.drain()
    process = await _process(stack.gateway.port)
    _, error = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert error.decode().strip().splitlines()[-1].startswith("seqway-gateway: cannot listen")


async def test_sigterm_ends_the_process(unused_tcp_port: int) -> None:
    process = await _process(unused_tcp_port)
    async with asyncio.timeout(30):
        assert process.stderr is not None
        while b"listening" not in await process.stderr.readline():
            pass
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def _process(port: int) -> asyncio.subprocess.Process:
    settings = {"SEQWAY_GATEWAY_PORT": str(port), "SEQWAY_TRITON_URL": "127.0.0.1:1"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.gateway.main",
        env=os.environ | settings,
        stderr=asyncio.subprocess.PIPE,
    )
