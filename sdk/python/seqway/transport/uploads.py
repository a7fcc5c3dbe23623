"""The messages of an upload."""

from collections.abc import Iterator


class UploadedMessages(Iterator[bytes]):
    """Keeps what iterating raises, of which gRPC would only report that the call was cancelled."""

    def __init__(self, messages: Iterator[bytes]) -> None:
        self._messages = messages
        self.failure: Exception | None = None

    def __next__(self) -> bytes:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
