"""A client of gRPC that breaks its rules: frames by hand, over one connection."""

import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

_SECONDS = 20.0


@dataclass
class Stream:
    """What came back on a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    received: int = 0
    ended: bool = False

    @property
    def status(self) -> str:
        """The gRPC status number; "" while there is none."""
        return self.headers.get("grpc-status", "")


class RawConnection:
    """One HTTP/2 connection; `greedy` False has no room for what the server sends."""

    def __init__(self, port: int, *, greedy: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        if not greedy:
            self._h2.local_settings = h2.settings.Settings(
                client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
            )
        self._h2.initiate_connection()
        self._greedy = greedy
        self.streams: dict[int, Stream] = {}
        self.closed = False
        self._flush()

    def open(self, method: str, metadata: Sequence[tuple[str, str]] = ()) -> int:
        """Sends the headers of a call."""
        number = self._h2.get_next_available_stream_id()
        self.streams[number] = Stream()
        self._h2.send_headers(
            number,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", "127.0.0.1"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                *metadata,
            ],
        )
        self._flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Sends bytes as they are, in frames that fit, as the server makes room."""
        while data or end:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            part, data = data[:room], data[room:]
            last = end and not data
            if part or last:
                self._h2.send_data(number, part, end_stream=last)
                self._flush()
                end = end and not last
            elif not self._receive():
                return
            if self.streams[number].ended or self.closed:
                return

    def message(self, number: int, message: bytes, *, compressed: bool = False) -> None:
        """Sends one gRPC message and ends the stream."""
        self.send(number, struct.pack(">?I", compressed, len(message)) + message, end=True)

    def reset(self, number: int) -> None:
        """Takes a call back."""
        self._h2.reset_stream(number)
        self._flush()

    def flood(self, frame: bytes, seconds: float) -> None:
        """Sends a frame again and again, until the server has closed the connection."""
        deadline = time.monotonic() + seconds
        while not self.closed and time.monotonic() < deadline:
            try:
                with suppress(TimeoutError):
                    self._socket.settimeout(0.05)
                    self._socket.sendall(frame * 1000)
                with suppress(BlockingIOError):
                    self._socket.settimeout(0)
                    self.closed = not self._socket.recv(1 << 20)
            except OSError:
                self.closed = True

    def wait(self, number: int, seconds: float = _SECONDS) -> Stream:
        """The stream when it has ended, or the connection has."""
        deadline = time.monotonic() + seconds
        while not (self.streams[number].ended or self.closed):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._socket.settimeout(left)
            self._receive()
        return self.streams[number]

    def _receive(self) -> bool:
        """Takes what has come; False when nothing comes."""
        try:
            data = self._socket.recv(1 << 16)
            events = self._h2.receive_data(data) if data else []
        except TimeoutError:
            return False
        except (OSError, h2.exceptions.ProtocolError):
            data, events = b"", []
        for event in events:
            self._note(event)
        self.closed = self.closed or not data
        self._flush()
        return not self.closed

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                headers = {str(name): str(value) for name, value in event.headers}
                self.streams[event.stream_id].headers.update(headers)
            case h2.events.DataReceived():
                self.streams[event.stream_id].received += len(event.data)
                if self._greedy:
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            case h2.events.StreamEnded() | h2.events.StreamReset():
                self.streams[event.stream_id].ended = True
            case h2.events.ConnectionTerminated():
                self.closed = True

    def _flush(self) -> None:
        try:
            self._socket.sendall(self._h2.data_to_send())
        except OSError:
            self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
