"""Tags in the spellings of callers and checkpoints, and which of two languages serves the other."""

from contextlib import suppress

import pytest
from langcodes import Language

from engine.contract.languages import (
    InvalidLanguageTagError,
    base_language,
    canonical_tag,
    language_distance,
)


@pytest.mark.parametrize(
    ("tag", "spellings"),
    [
        ("en", "en EN eng eng_Latn en_XX __en__ >>eng<< <2en>"),
        ("pt", "pt por por_Latn pt_XX >>por<< <2pt> __pt__"),
        ("pt-BR", "pt-BR pt_BR PT-br >>pob<< pob >>pt_br<< por-BR"),
        ("pt-PT", "pt-PT pt_pt"),
        ("zh", "zh zho cmn chi __zh__ >>cmn<<"),
        ("zh-Hans", "zh-CN zh_CN zh-Hans zho_Hans >>cmn_Hans<< zh-Hans-CN"),
        ("zh-Hant", "zh-TW zh-Hant zho_Hant >>cmn_Hant<< <2zh_Hant> zh-Hant-TW"),
        ("zh-Hant-HK", "zh-HK zh-Hant-HK"),
        ("yue", "yue yue_Hant zh-yue"),
        ("nb", "no nb nor nob nob_Latn >>nob<< no_XX"),
        ("nn", "nn nno nno_Latn"),
        ("he", "he iw heb heb_Hebr <2iw>"),
        ("id", "id in ind"),
        ("sr", "sr sr-Cyrl srp_Cyrl"),
        ("sr-Latn", "sr-Latn sh hbs_Latn srp-latn"),
        ("ar", "ar arb ara arb_Arab"),
        ("fil", "tl fil tgl_Latn"),
        ("nso", "ns nso nso_Latn"),
        ("ko", "ko kor_Hang ko-Kore"),
        ("es-419", "es-419 es_419"),
        ("ca-valencia", "ca-valencia"),
    ],
)
def test_every_spelling_has_one_tag(tag: str, spellings: str) -> None:
    assert {canonical_tag(spelling) for spelling in spellings.split()} == {tag}
    assert canonical_tag(f" {tag} ") == tag, "it is its own"


NO_LANGUAGES = ["", "e", "english", "xx", "und", "x-foo", "en-", "ROMANCE", "[/red]", "éé"]


@pytest.mark.parametrize("code", [*NO_LANGUAGES, "\ud800", "en-" + "a" * 40, "e" * 1_000_000])
def test_what_is_no_language_is_refused(code: str) -> None:
    with pytest.raises(InvalidLanguageTagError, match="is no language: give a BCP-47 tag") as error:
        canonical_tag(code)
    assert len(str(error.value)) < 200


def test_the_base_has_neither_script_nor_region() -> None:
    assert [base_language(tag) for tag in ("pt-BR", "sr-Latn", "zh-Hant-HK")] == ["pt", "sr", "zh"]


@pytest.mark.parametrize(
    ("asked", "from_near_to_far"),
    [
        ("pt-BR", ["pt-BR", "pt"]),
        ("pt", ["pt", "pt-BR", "pt-PT"]),
        ("zh-TW", ["zh-Hant"]),
        ("zh-HK", ["zh-Hant-HK", "zh-Hant"]),
        ("zh-CN", ["zh-Hans", "zh"]),
        ("zh", ["zh", "zh-Hans", "zh-Hans-SG"]),
        ("no", ["nb"]),
        ("en-GB", ["en-GB", "en"]),
        ("ca-valencia", ["ca-valencia", "ca"]),
        ("acm", ["acm", "acm-Arab"]),
    ],
)
def test_the_closest_comes_first(asked: str, from_near_to_far: list[str]) -> None:
    found = [language_distance(served, asked) for served in from_near_to_far]
    assert None not in found
    assert found == sorted(found)  # type: ignore[type-var]
    assert found[0] == 0


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        ("pt-PT", "pt-BR"),
        ("zh-Hant", "zh"),
        ("zh-Hans", "zh-TW"),
        ("zh", "zh-Hant"),
        ("sr", "sr-Latn"),
        ("sr-Latn", "sr"),
        ("nn", "nb"),
        ("da", "nb"),
        ("yue", "zh-Hant"),
        ("en-US", "en-GB"),
        ("ca-valencia", "ca"),
        ("en", "no such"),
    ],
)
def test_what_would_be_another_language_does_not_serve(served: str, asked: str) -> None:
    assert language_distance(served, asked) is None


def test_a_code_of_an_older_variant_serves_itself() -> None:
    assert language_distance("roa_xx_yy_zz", "roa_xx_yy_zz") == 0


def test_what_callers_send_is_not_remembered_for_ever() -> None:
    assert canonical_tag(" " * 1_000_000 + "en") == "en"
    with pytest.raises(InvalidLanguageTagError):
        canonical_tag("-" * 4_000_000)
    for number in range(10_000):
        with suppress(InvalidLanguageTagError):
            canonical_tag(f"en-x-{number:06}")
    assert max(len(Language._INSTANCES), len(Language._PARSE_CACHE)) < 10_000
