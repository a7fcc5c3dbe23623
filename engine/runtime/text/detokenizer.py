"""Token ids to text, append-only: what was given out never changes, and no character is split."""

import codecs
from collections.abc import Iterable


class Detokenizer:
    """The text of one answer as it grows; the space that starts the first word is dropped.

    Bytes that are no UTF-8 become U+FFFD, as in `transformers`.
    """

    def __init__(self, token_bytes: list[bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._started = False

    def push(self, ids: Iterable[int], *, end: bool = False) -> str:
        """The text that `ids` complete; `end` gives out what an unfinished character left."""
        table = self._token_bytes
        text = self._decoder.decode(b"".join([table[index] for index in ids]), final=end)
        if not self._started:
            text = text.lstrip(" ")
            self._started = bool(text)
        return text
