"""Cuts a tokenized text into windows that fit the model, special tokens around each.

A text is tokenized as a whole and its tokens are cut, so a window never splits a word otherwise
than the whole text does, and every token has one place in the text.  As in `tokenizers`' own
truncation, windows start at multiples of (room for text - stride), and each but the last is full.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

SHARE_OF_STRIDE = 8
"""A stride that nobody chose is this part of a window's room for text."""

SHARE_OF_CONTEXT = 8
"""A question must leave the context this part of the window."""


class WindowError(ValueError):
    """A text can't be cut as asked; the message says why."""


class QuestionTooLongError(WindowError):
    """The question alone fills the window."""


class StrideError(WindowError):
    """Windows would share so many tokens that they did not move on."""


@dataclass(frozen=True)
class TokenWindow:
    """The model's input for tokens `start` to `stop` of a text, which stand from `first` on."""

    ids: list[int]
    token_types: list[int]
    first: int
    start: int
    stop: int

    @property
    def tokens(self) -> int:
        """How many tokens of the text it holds."""
        return self.stop - self.start


@dataclass(frozen=True)
class WindowedText:
    """A text's windows, and for each of its tokens the code points `(start, end)` it stands for.

    `input_tokens` counts all tokens once, the special ones and a question's too.
    """

    windows: list[TokenWindow]
    offsets: list[tuple[int, int]]
    input_tokens: int


class WindowCutter:
    """Cuts texts for a model that takes `limit` tokens, special tokens included."""

    def __init__(self, tokenizer: Tokenizer, limit: int) -> None:
        self._tokenizer = tokenizer
        self.limit = limit

    def cut(self, text: str, stride: int | None = None) -> WindowedText:
        """The windows of one text, of which there is at least one.

        Raises:
            StrideError: see there.

        """
        return self._cut(self._tokenizer.encode(text), sequence=0, stride=stride, shared=0)

    def cut_context(
        self, question: str, context: str, stride: int | None, answer_tokens: int
    ) -> WindowedText:
        """The windows of a context, each with the whole question before it.

        A stride that is not given is at least `answer_tokens`, so that every answer stands whole in
        some window, unless that is over half of the room.

        Raises:
            QuestionTooLongError, StrideError: see there.

        """
        encoding = self._tokenizer.encode(question, context)
        return self._cut(encoding, sequence=1, stride=stride, shared=answer_tokens)

    def _cut(
        self, encoding: Encoding, *, sequence: int, stride: int | None, shared: int
    ) -> WindowedText:
        """Cuts the tokens of one `sequence` of the encoding and repeats all others."""
        places = [place for place, one in enumerate(encoding.sequence_ids) if one == sequence]
        ids, types, offsets = encoding.ids, encoding.type_ids, encoding.offsets
        first, last = (places[0], places[-1] + 1) if places else (len(ids), len(ids))
        room = self.limit - (len(ids) - len(places))
        if sequence == 1 and room < self.limit // SHARE_OF_CONTEXT:
            raise QuestionTooLongError(
                f"the question has {first} tokens with the special ones around it, and of the "
                f"model's {self.limit} an eighth must be left to the context"
            )
        if stride is None:
            stride = max(room // SHARE_OF_STRIDE, min(shared, room // 2))
        if stride >= room:
            raise StrideError(f"stride must be below {room}, the room for text in one window")
        windows = [
            TokenWindow(
                ids[:first] + ids[first + start : first + stop] + ids[last:],
                types[:first] + types[first + start : first + stop] + types[last:],
                first,
                start,
                stop,
            )
            for start, stop in window_ranges(len(places), room, stride)
        ]
        return WindowedText(windows, [offsets[place] for place in places], len(ids))


def window_ranges(tokens: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Ranges of at most `room` tokens that share `stride` and cover `tokens`; at least one."""
    ranges = [(0, min(room, tokens))]
    while ranges[-1][1] < tokens:
        start = ranges[-1][0] + room - stride
        ranges.append((start, min(start + room, tokens)))
    return ranges


def batches(lengths: Sequence[int], most_tokens: int, spread: int) -> list[list[int]]:
    """Groups indices so that padding is little: lengths within `spread`, at most `most_tokens`.

    The tokens counted are those of the padded batch; a group has at least one member.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        group = groups[-1] if groups else []
        if (
            group
            and lengths[index] <= lengths[group[0]] + spread
            and lengths[index] * (len(group) + 1) <= most_tokens
        ):
            group.append(index)
        else:
            groups.append([index])
    return groups
