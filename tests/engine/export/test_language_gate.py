"""Texts of another language are refused, and what may be of any is taken."""

import pytest

from engine.export.gates.language import require_language
from engine.export.text_files import TextFileError

GERMAN = "Dieses Programm spielt Musik ab und ist sehr einfach zu bedienen."
ENGLISH = "This program plays music, and it is very easy to use."


@pytest.mark.parametrize(
    ("texts", "languages"),
    [
        ([ENGLISH], ["en"]),
        ([GERMAN], ["de-AT"]),
        ([GERMAN], ["en", "de"]),
        ([GERMAN], []),
        ([GERMAN], ["en", "xx"]),  # a language that can't be told
        (["Hello"], ["en"]),
        (["GNU Emacs"], ["en"]),
        (["123 456 789"] * 50, ["en"]),
        ([ENGLISH] * 60 + [GERMAN] * 20, ["en"]),
    ],
)
def test_what_the_model_may_read_is_taken(texts: list[str], languages: list[str]) -> None:
    require_language(texts, languages)


@pytest.mark.parametrize("texts", [[GERMAN], [GERMAN] * 100, [GERMAN] * 60 + [ENGLISH] * 20])
def test_another_language_is_refused(texts: list[str]) -> None:
    with pytest.raises(TextFileError, match="seem to be in 'de', and the model reads en, fr:"):
        require_language(texts, ["fr", "en"])
