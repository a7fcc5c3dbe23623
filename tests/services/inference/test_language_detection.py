"""Languages of real texts: Debian's descriptions and single sentences of them, in 8 languages."""

import json
from collections import Counter
from pathlib import Path

import pytest

from engine.contract.manifest import Manifest
from services.inference.errors import UnknownLanguagePairError, UnknownModelError
from services.inference.models.catalogue import Catalogue, Variant
from services.inference.models.choice import VariantChoice
from services.inference.text.language_detection import LOOKED_AT, detect_language
from tests.services.twin import classifier, manifest_of, many_to_many

SAMPLES = Path(__file__).with_name("language_samples.jsonl")
LANGUAGES = ("da", "de", "en", "es", "fr", "it", "pl", "pt")
SENTENCE = "This package has a small editor for plain text."


@pytest.mark.parametrize(("kind", "bar"), [("description", 99), ("sentence", 93)])
def test_real_texts_are_told(kind: str, bar: int) -> None:
    rows = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["kind"] == kind]
    found = [detect_language(row["text"], LANGUAGES).language for row in rows]
    pairs = Counter(
        "right" if language == row["language"] else "undecided" if not language else "wrong"
        for language, row in zip(found, rows, strict=True)
    )
    assert {row["language"] for row in rows} == set(LANGUAGES)
    assert 100 * pairs["right"] >= bar * len(rows), pairs
    assert 100 * pairs["wrong"] <= len(rows), pairs


def test_candidates_have_scores_best_first() -> None:
    found = detect_language("Una casa grande", ("es", "pt", "it"))
    scores = [score for _, score in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) <= 1.0001
    assert {tag for tag, _ in found.candidates} <= {"es", "pt", "it"}


@pytest.mark.parametrize(
    "text", ["ok", "Ez egy kis szövegszerkesztő, amely gyors.", "Это небольшой редактор текста."]
)
def test_what_is_in_none_of_the_languages_is_undecided(text: str) -> None:
    found = detect_language(text, ("en", "fr"))
    assert (found.language, found.without_words) == ("", False)


@pytest.mark.parametrize("text", ["", " \n", "12 + 3", "<br/>&nbsp;"])
def test_a_text_without_words_is_in_no_language(text: str) -> None:
    assert detect_language(text, LANGUAGES, markup=True).without_words


def test_tags_are_not_looked_at() -> None:
    text = '<p class="this is the english text of the class">Un <b>éditeur</b> de texte rapide.</p>'
    assert detect_language(text, LANGUAGES, markup=True).language == "fr"


@pytest.mark.parametrize(
    "start",
    [
        "<style>body { margin: 0; the: this }</style>" * 50,
        "<!-- this is a comment of the author -->" * 50,
        f'<img src="data:image/png;base64,{"thisIsTheImage" * 2000}">',
        "<script>if (a < b) { this.is.the(script); }</script>",
    ],
    ids=["style", "comment", "image", "script"],
)
def test_of_markup_the_words_are_looked_at(start: str) -> None:
    text = f"{start}<p>Un petit éditeur de texte, rapide et simple.</p>"
    assert detect_language(text, LANGUAGES, markup=True).language == "fr"


def test_markup_that_is_not_closed_has_no_words() -> None:
    for text in ('<img alt="a small editor', "<script>this is the script", "<!-- the author's"):
        assert detect_language(text, LANGUAGES, markup=True).without_words


@pytest.mark.parametrize("start", ["-" * 1001, "12;34;56\n" * 120], ids=["rule", "numbers"])
def test_the_words_may_come_late(start: str) -> None:
    assert detect_language(f"{start}\n{SENTENCE}", LANGUAGES).language == "en"


@pytest.mark.parametrize("text", ["%s", "{count}", "https://example.org/this/is/the/page"])
def test_placeholders_are_no_words(text: str) -> None:
    assert detect_language(text, LANGUAGES).without_words
    assert detect_language(f"{text} {SENTENCE}", LANGUAGES).language == "en"


def test_only_the_start_of_a_long_text_is_looked_at() -> None:
    start = f"{SENTENCE} " * (1 + LOOKED_AT // len(SENTENCE))
    whole = start + "Dieser Text ist deutsch. " * 10_000
    assert detect_language(whole, LANGUAGES) == detect_language(start, LANGUAGES)


def test_a_language_has_the_tag_that_is_served() -> None:
    text = "Um pequeno editor de texto, rápido e fácil de usar."
    assert detect_language(text, ("en", "pt-BR")).language == "pt-BR"
    assert detect_language(text, ("en", "pt-BR", "pt")).language == "pt"
    norsk = "Dette er en liten og rask tekstredigerer for deg."
    assert detect_language(norsk, ("en", "nb")).language == "nb"


def catalogue(*manifests: Manifest) -> Catalogue:
    made = Catalogue(VariantChoice((), 0.3))
    made.replace([Variant(manifest, True) for manifest in manifests])
    return made


def test_the_languages_are_those_that_are_served() -> None:
    made = catalogue(manifest_of(), many_to_many(), classifier())
    assert made.sources() == ["de", "en", "es", "pt-BR"]
    assert made.sources("fr", forbid_pivot=True) == ["en"]
    assert made.sources("fr") == ["de", "en", "es", "pt-BR"], "through English"
    assert made.sources("fr", "en-fr") == ["en"]
    assert made.sources("en") == ["de", "es", "pt-BR"], "the target is no source"
    assert made.sources("es", "world") == ["de", "en", "pt-BR"]
    with pytest.raises(UnknownLanguagePairError, match='to "it"; supported') as error:
        made.sources("it")
    assert error.value.field == "target_language_code"
    with pytest.raises(UnknownModelError):
        catalogue(classifier()).sources()


def test_the_languages_follow_what_is_served() -> None:
    made = catalogue(manifest_of())
    assert made.sources("fr") == ["en"]
    made.replace([Variant(manifest_of(base_model="de-fr"), True)])
    assert made.sources("fr") == ["de"]
