"""The handlers of gRPC's methods, taken apart to be wrapped."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
Deserializer: TypeAlias = Callable[[bytes], Any]


def parts_of(handler: Handler) -> tuple[Callable[..., Handler], Behaviour]:
    """How to make a handler of this kind that reads its request, and what it calls.

    The stubs type the blocking server.
    """
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.stream_unary)
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, cast(Behaviour, handler.unary_stream)
    return grpc.stream_unary_rpc_method_handler, cast(Behaviour, handler.unary_unary)


def tolerant(deserialize: Deserializer | None) -> Deserializer:
    """Gives None for malformed bytes, for which gRPC would answer UNKNOWN with a Python error."""
    assert deserialize is not None

    def parse(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return parse
