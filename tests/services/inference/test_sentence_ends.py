"""Where sentences end, in the languages and spellings that callers use."""

import pytest

from services.inference.text.abbreviations import ABBREVIATIONS
from services.inference.text.segmentation import segment, splitter_language


def sentences(text: str, language: str = "en") -> list[str]:
    return [each.text for each in segment(text, language).segments]


@pytest.mark.parametrize(
    "language", ["de", "de-DE", "DE", "de_AT", "De-ch", "deu", "deu_Latn", "ger", "de-Latn-DE"]
)
def test_a_language_is_known_however_it_is_spelled(language: str) -> None:
    text = "Am 3. Oktober 1990 war es z. B. so."
    assert sentences(text, language) == [text]


@pytest.mark.parametrize(
    ("code", "language"),
    [("pt-BR", "pt"), ("zh-Hant-TW", "zh"), ("eng_Latn", "en"), ("nb-NO", "no"), ("xx", "xx")],
)
def test_the_base_of_a_code(code: str, language: str) -> None:
    assert splitter_language(code) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("We use ASP.NET Core.", "en"),
        ("Call Console.WriteLine now.", "en"),
        ("Version 1.2.3.Beta is out of System.Collections.Generic.List today.", "en"),
        ("Open config.yaml, then a.txt.Next it works.", "en"),
        ("Say Hello!World and What?No here.", "en"),
        ("See vol. 3 and approx. 5 or Max. 7 of it.", "en"),
        ("It is in Vol. IV on pp. 3 and in ch. 12.", "en"),
        ("On Sept. 3 he came to St. Louis with Prof. Smith.", "en"),
        ("M. Dupont et Mme. Durand sont là avec MM. Petit.", "fr"),
        ("Voir p. 3, vol. 4, fig. 5, p. ex. celle de J. Martin.", "fr-CA"),
        ("Das kostet ca. 5 Euro, vgl. Abb. 3, d. h. wenig.", "de"),
        ("Frau Dr. Müller, geb. Schmidt, wohnt in der Nr. 5.", "de"),
        ("El Sr. García y la Sra. López ven la pág. 3 y el art. 5.", "es"),
        ("Il sig. Rossi e la dott.ssa Verdi leggono pag. 3.", "it"),
        ("Ver pág. 3 da Profa. Costa na Av. Brasil.", "pt-BR"),
        ("Dhr. Jansen en mevr. Smit, d.w.z. dat is zo.", "nl"),
        ("Mieszka na ul. Marszałkowskiej, tj. blisko prof. Nowaka.", "pl"),
        ("Это ул. Ленина, т. е. центр, см. рис. 3.", "ru"),
        ("Den 3. oktober kom hr. Jensen.", "da"),
        ("Např. dne 3. října v ul. Dlouhé.", "cs"),
        ("Den kostar ca. 5 kronor, t.ex. hos dr. Berg.", "sv"),
    ],
)
def test_a_full_stop_within_a_sentence_ends_nothing(text: str, language: str) -> None:
    follows = "Ab. Cd."  # whatever comes next
    assert sentences(text, language) == [text]
    assert sentences(f"{text} {follows}", language)[0] == text


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("He left. She came.", "en", ["He left.", "She came."]),
        ("hello there. how are you?", "en", ["hello there.", "how are you?"]),
        ("Call Max. Then go.", "en", ["Call Max.", "Then go."]),
        ("We sell it at vol. Then we go.", "en", ["We sell it at vol.", "Then we go."]),
        ('He said "Go!" Then he went.', "en", ['He said "Go!"', "Then he went."]),
        ("你好。再见!真的吗？是的。", "zh-CN", ["你好。", "再见!", "真的吗？", "是的。"]),
        (
            "我们使用ASP.NET和Node.js开发。很好。",
            "zh",
            ["我们使用ASP.NET和Node.js开发。", "很好。"],
        ),
        ("これはペンです。あれは本です。", "ja", ["これはペンです。", "あれは本です。"]),
        ("यह एक है। यह दो है।", "hi", ["यह एक है।", "यह दो है।"]),
        ("مرحبا. كيف حالك؟ بخير.", "ar", ["مرحبا.", "كيف حالك؟", "بخير."]),
        ("¿Qué tal? Bien.", "es", ["¿Qué tal?", "Bien."]),
    ],
)
def test_sentences_end_where_readers_see_it(text: str, language: str, expected: list[str]) -> None:
    assert sentences(text, language) == expected


@pytest.mark.parametrize("language", sorted(ABBREVIATIONS))
def test_nothing_is_cut_behind_any_known_abbreviation(language: str) -> None:
    for word in ABBREVIATIONS[language]:
        for spelled in (word, word.capitalize()):
            text = f"Abcd {spelled}. Efgh ijkl."
            assert sentences(text, language) == [text], text


def test_columns_are_apart_and_tabs_are_in_no_segment() -> None:
    assert sentences("Name\tFirst name\t\tAge of it") == ["Name", "First name", "Age of it"]
