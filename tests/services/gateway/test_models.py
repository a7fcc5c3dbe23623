import grpc
import pytest
from gateway_stack import MakeStack, Stack
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from seqway.v1 import model_pb2 as pb

from tests.services.twin import classifier, many_to_many


async def test_lists_in_pages(stack: Stack) -> None:
    first = await stack.models.ListModels(pb.ListModelsRequest(page_size=1))
    second = await stack.models.ListModels(
        pb.ListModelsRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [first.models[0].name, second.models[0].name] == ["en-fr_fp32", "en-fr_int8"]
    assert second.next_page_token == ""
    assert len((await stack.models.ListModels(pb.ListModelsRequest())).models) == 2


async def test_describes_one(stack: Stack) -> None:
    model = (await stack.models.GetModel(pb.GetModelRequest(name="en-fr_int8"))).model
    assert model.ready and model.precision == "int8" and model.limits.max_source_tokens == 512
    assert dict(model.quality) == {"bleu": 30.1}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.GetModelRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.GetModelRequest(name="nope"), grpc.StatusCode.NOT_FOUND),
        (pb.ListModelsRequest(page_token="é!"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ListModelsRequest(page_size=-1), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_bad_requests(
    stack: Stack, request_: pb.GetModelRequest | pb.ListModelsRequest, code: grpc.StatusCode
) -> None:
    method = "GetModel" if isinstance(request_, pb.GetModelRequest) else "ListModels"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stack.models, method)(request_)
    assert caught.value.code() is code


async def test_reflection_names_the_services(stack: Stack) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(stack.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([asked])):
        names = {service.name for service in answer.list_services_response.service}
    tasks = ("Translation", "Summarization", "Classification", "QuestionAnswering", "Model")
    assert {f"seqway.v1.{task}Service" for task in tasks} <= names


async def test_describes_every_kind(make_stack: MakeStack) -> None:
    stack = await make_stack(manifests=[many_to_many(), classifier(multi_label=True)])
    listed = (await stack.models.ListModels(pb.ListModelsRequest())).models
    labels, world = listed
    assert (labels.task, list(labels.labels)) == ("classification", ["games", "libs", "science"])
    assert labels.multi_label and labels.limits.max_target_tokens == 0
    assert list(world.source_language_codes) == ["en", "de", "es", "pt-BR"]
    assert not world.language_pairs and len(world.target_language_codes) == 4
    assert dict(world.generation_defaults) == {"num_beams": 4, "early_stopping": 1}
