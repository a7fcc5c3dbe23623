"""A connection for threads.  This file and its twin in `seqway.aio` are written by hand."""

import threading
from collections.abc import Iterator
from typing import Any, Generic

import grpc

from seqway.transport.channel_options import channel_options
from seqway.transport.method import Method, Request, Response
from seqway.transport.status import error_of
from seqway.transport.tracing import StreamSpan

Cancellation = threading.Event
"""Whether a stream was cancelled, to wait for."""


class Channel:
    """Safe to share between threads."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        options = channel_options(address)
        self._channel = (
            grpc.insecure_channel(address, options=options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=options)
        )

    def unary(
        self, method: Method[Request, Response, Any]
    ) -> "grpc.UnaryUnaryMultiCallable[bytes, Response]":
        """One serialized request, one response."""
        return self._channel.unary_unary(
            method.path, response_deserializer=method.response.FromString
        )

    def upload(
        self, method: Method[Request, Response, Any]
    ) -> "grpc.StreamUnaryMultiCallable[bytes, Response]":
        """Many requests, one response."""
        return self._channel.stream_unary(
            method.path, response_deserializer=method.response.FromString
        )

    def stream(
        self,
        method: Method[Request, Response, Any],
        data: bytes,
        timeout: float | None,
        span: StreamSpan,
    ) -> "Responses[Response]":
        """One serialized request, many responses; the call ends `span`."""
        call: grpc.UnaryStreamMultiCallable[bytes, Response] = self._channel.unary_stream(
            method.path, response_deserializer=method.response.FromString
        )
        responses = call(data, timeout=timeout, metadata=span.metadata)
        span.follow(responses)
        return Responses(responses)

    def close(self) -> None:
        """Ends all calls and frees the connection."""
        self._channel.close()


class Responses(Generic[Response]):
    """The responses of a call as they come.  Raises `SeqwayError`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Response]:
        return self

    def __next__(self) -> Response:
        try:
            response: Response = next(self._call)
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        except BaseException:  # an interrupt; nothing happens at the end of the responses
            self._call.cancel()
            raise
        return response

    def cancel(self) -> None:
        """Ends the call; nothing happens when it has ended already."""
        self._call.cancel()
