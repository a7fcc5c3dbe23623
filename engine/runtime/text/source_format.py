"""How a source is put together around a user's text: the template, language codes, end of sequence.

The template is text, and is tokenized together with what it surrounds, as `transformers` users do
by hand. The frame is made of ids, so nothing that a user writes can stand for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from engine.contract.manifest import Manifest

TEXT = "{text}"

Span = tuple[int, int]
T = TypeVar("T")


class UnknownLanguageError(ValueError):
    """The model does not serve this language; the message names it."""


@dataclass(frozen=True)
class SourceFormat:
    """The frame and the template of a model's sources.

    `prefix` and `suffix` hold token ids, and "source" or "target" for the id of that language in
    `language_ids` (BCP-47). `names` are what "{source}" and "{target}" in the template become.
    `default` is the pair of a bilingual model, which need not be named.
    """

    prefix: tuple[int | str, ...] = ()
    suffix: tuple[int | str, ...] = ()
    language_ids: dict[str, int] = field(default_factory=dict)
    template: str = ""
    names: dict[str, str] = field(default_factory=dict)
    default: tuple[str, str] = ("", "")

    def frame(self, source: str, target: str) -> tuple[list[int], list[int]]:
        """The ids before and after those of the text.

        Raises:
            UnknownLanguageError: the frame has a language's code, and the language is not served.

        """
        languages = self._languages(source, target)
        return self._ids(self.prefix, languages), self._ids(self.suffix, languages)

    def surroundings(self, source: str, target: str) -> tuple[str, str]:
        """What the template puts before and after the text.

        Raises:
            UnknownLanguageError: the template names a language that is not served.

        """
        if TEXT not in self.template:
            return "", ""
        before, _, after = self.template.partition(TEXT)
        for key, code in self._languages(source, target).items():
            mark = f"{{{key}}}"
            if mark in self.template:
                name = _look_up(code, self.names)
                before, after = before.replace(mark, name), after.replace(mark, name)
        return before, after

    def _languages(self, source: str, target: str) -> dict[str, str]:
        return {"source": source or self.default[0], "target": target or self.default[1]}

    def _ids(self, parts: Sequence[int | str], languages: dict[str, str]) -> list[int]:
        return [
            _look_up(languages[part], self.language_ids) if isinstance(part, str) else part
            for part in parts
        ]


def _look_up(code: str, table: dict[str, T]) -> T:
    if code not in table:
        asked = f"does not serve the language {code!r}" if code else "needs to be told a language"
        raise UnknownLanguageError(f"the model {asked}; it serves {', '.join(sorted(table))}")
    return table[code]


def read_source_format(manifest: Manifest) -> SourceFormat | None:
    """The format that a manifest states; None when it leaves the frame to the tokenizer."""
    stated = manifest.source_format
    if not stated and not manifest.template:
        return None
    pairs = manifest.language_pairs
    return SourceFormat(
        prefix=tuple(stated.get("prefix", ())),
        suffix=tuple(stated.get("suffix", ())),
        language_ids=dict(stated.get("language_ids", {})),
        template=manifest.template,
        names=dict(manifest.language_codes),
        default=(pairs[0][0], pairs[0][1]) if len(pairs) == 1 else ("", ""),
    )


def user_span(span: Span, start: int, text: str) -> Span:
    """A span of the templated text as one of the user's `text`, which stands at `start` of it.

    White space at its ends is left out: SentencePiece and byte-level pieces carry the space before
    a word. A span outside of the text is empty.
    """
    first = min(max(span[0] - start, 0), len(text))
    last = min(max(span[1] - start, first), len(text))
    while first < last and text[first].isspace():
        first += 1
    while first < last and text[last - 1].isspace():
        last -= 1
    return (first, last) if first < last else (0, 0)
