"""Messages over a pair of connected sockets: four bytes of length, then the content."""

import queue
import select
import socket
import struct
import threading
from contextlib import suppress

from engine.parallel.groups.messages import Message, decode_message, encode_message

_LENGTH = struct.Struct("<I")
_READ_BYTES = 1 << 18


class RankChannel:
    """One end. Any thread may send, one thread at a time reads."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()
        self._read = bytearray()

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def has_more(self, seconds: float) -> bool:
        """Whether `receive` would not wait, within so many seconds."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def shut(self) -> None:
        """Has whoever sends or reads find that this is over, whether the other end is gone or not.

        A process that a dead rank has forked may still hold the other end.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Tells the other end that nothing follows."""
        self._socket.close()

    def send(self, message: Message) -> None:
        """Waits until the other end has room.

        Raises:
            OSError: the other end is gone.

        """
        content = encode_message(message)
        with self._sending:
            self._socket.sendall(_LENGTH.pack(len(content)) + content)

    def receive(self) -> list[Message]:
        """Waits for something, and returns all whole messages; there may be none.

        Raises:
            EOFError: the other end is gone, and all that it sent was read.

        """
        try:
            some = self._socket.recv(_READ_BYTES)
        except ConnectionError:  # the other end left with something unread
            some = b""
        if not some:
            raise EOFError("the other end is gone")
        self._read += some
        messages, start = [], 0
        while len(self._read) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._read, start)
            end = start + _LENGTH.size + length
            if len(self._read) < end:
                break
            messages.append(decode_message(bytes(self._read[start + _LENGTH.size : end])))
            start = end
        del self._read[:start]
        return messages


class Sender:
    """Sends messages in order from a thread of its own, so that a rank that hangs holds up nobody.

    What can't be sent is dropped: whoever reads the channel finds that the other end is gone.
    """

    def __init__(self, channel: RankChannel, name: str) -> None:
        self._channel = channel
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, message: Message) -> None:
        """Never waits."""
        self._messages.put(message)

    def close(self) -> None:
        """Once the other end is gone: ends the thread."""
        self._messages.put(None)
        self._thread.join()

    def _run(self) -> None:
        while message := self._messages.get():
            try:
                self._channel.send(message)
            except OSError:
                return
