"""Where the gateway listens, in both kinds of addresses."""

import logging

import pytest
from gateway_stack import MakeStack
from seqway.v1 import model_pb2, model_pb2_grpc

from services.foundation.endpoints import host_and_port


@pytest.mark.parametrize("host", ["::1", "[::1]", "::", "127.0.0.1", "localhost"])
async def test_a_gateway_listens_at_an_address(
    host: str, make_stack: MakeStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stack = await make_stack(gateway_host=host)
    models = model_pb2_grpc.ModelServiceStub(stack.channel)
    assert (await models.ListModels(model_pb2.ListModelsRequest(), timeout=10)).models
    assert f"listening on {host_and_port(host, stack.gateway.port)}" in caplog.text


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("::", "[::]:5"),
        ("[::1]", "[::1]:5"),
        ("fe80::1%eth0", "[fe80::1%eth0]:5"),
        ("0.0.0.0", "0.0.0.0:5"),
        ("gateway", "gateway:5"),
    ],
)
def test_an_address_is_written_as_grpc_reads_it(host: str, address: str) -> None:
    assert host_and_port(host, 5) == address
