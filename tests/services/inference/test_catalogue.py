from dataclasses import replace

import pytest

from services.inference.errors import (
    MissingFieldError,
    ModelNotReadyError,
    TritonUnavailableError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.models.catalogue import Catalogue, Variant
from services.inference.models.choice import VariantChoice
from tests.services.twin import QUALITY_MODEL, classifier, manifest_of, many_to_many, summarizer


def catalogue(*, int8: bool = True, fp32: bool = True) -> Catalogue:
    made = Catalogue(VariantChoice(("int8", "fp32"), 0.3))
    made.replace([Variant(manifest_of("fp32"), fp32), Variant(manifest_of("int8"), int8)])
    return made


@pytest.mark.parametrize("source", ["en", "EN", "en-GB", "en_US"])
def test_prefers_int8(source: str) -> None:
    assert catalogue().pick_translator(source, "fr", "")[0].name == "en-fr_int8"


def test_takes_what_is_ready() -> None:
    assert catalogue(int8=False).pick_translator("en", "fr", "en-fr")[0].name == "en-fr_fp32"


def test_a_named_variant_is_that_variant() -> None:
    assert catalogue().pick_translator("en", "fr", "en-fr_fp32")[0].name == "en-fr_fp32"
    with pytest.raises(ModelNotReadyError):
        catalogue(fp32=False).pick_translator("en", "fr", "en-fr_fp32")


def test_says_what_there_is() -> None:
    with pytest.raises(UnknownModelError, match="en-fr, en-fr_fp32, en-fr_int8") as model:
        catalogue().pick_translator("en", "fr", "nope")
    assert model.value.field == "model"
    with pytest.raises(UnknownLanguagePairError, match="en to fr") as pair:
        catalogue().pick_translator("en", "de", "")
    assert pair.value.field == "target_language_code"
    with pytest.raises(UnknownLanguagePairError) as pair:
        catalogue().pick_translator("english", "fr", "")
    assert pair.value.field == "source_language_code"


def test_a_lost_triton_is_named() -> None:
    with pytest.raises(TritonUnavailableError):
        Catalogue(VariantChoice((), 0.3)).pick_translator("en", "fr", "")
    lost = catalogue()
    lost.lose()
    with pytest.raises(TritonUnavailableError):
        lost.pick_translator("en", "fr", "")
    assert not lost.serves()


def several() -> Catalogue:
    made = Catalogue(VariantChoice((), 0.3))
    manifests = (manifest_of(), many_to_many(), summarizer(), classifier(), classifier("topic"))
    made.replace([Variant(manifest, True) for manifest in manifests])
    return made


@pytest.mark.parametrize(
    ("source", "target", "codes"),
    [
        ("de", "en-GB", ("de", "en")),
        ("en", "pt_br", ("en", "pt-BR")),
        ("en-US", "fr", ("en", "fr")),
    ],
)
def test_gives_the_models_own_codes(source: str, target: str, codes: tuple[str, str]) -> None:
    assert several().pick_translator(source, target, "")[1:] == codes


def test_translates_to_another_language_only() -> None:
    with pytest.raises(
        UnknownLanguagePairError, match="any of de, en, es, pt-BR to any of"
    ) as pair:
        several().pick_translator("de", "de", "")
    assert pair.value.field == "target_language_code"


def test_picks_by_task() -> None:
    assert several().pick("summarization", "").name == "summary_fp32"
    assert several().pick("classification", "topic").name == "topic_fp32"
    with pytest.raises(UnknownModelError, match="is for translation; models for summarization: "):
        several().pick("summarization", "world")
    with pytest.raises(UnknownModelError, match="no model for question-answering is served"):
        several().pick("question-answering", "")


def test_a_choice_between_models_is_the_callers() -> None:
    with pytest.raises(MissingFieldError, match="section, topic"):
        several().pick_only("classification", "")
    assert several().pick_only("classification", "topic_fp32").name == "topic_fp32"
    assert several().pick_only("summarization", "").name == "summary_fp32"


def test_serves_a_task_when_a_variant_is_ready() -> None:
    made = several()
    assert made.serves("summarization") and not made.serves("question-answering") and made.serves()


def legs(*ready: str, unready: tuple[str, ...] = (), **asked: bool) -> list[str]:
    made = Catalogue(VariantChoice((), 0.3))
    variants = [Variant(manifest_of(base_model=each), True) for each in ready]
    made.replace(variants + [Variant(manifest_of(base_model=each), False) for each in unready])
    return [each.variant.manifest.base_model for each in made.pick_legs("pt", "fr", "", **asked)]


def test_two_models_serve_a_pair_that_none_does() -> None:
    assert legs("pt-de", "de-fr", "pt-en", "en-fr") == ["pt-en", "en-fr"]
    assert legs("pt-fr", "pt-en", "en-fr") == ["pt-fr"]
    assert legs("pt-de", "de-fr", "pt-en", unready=("en-fr",)) == ["pt-de", "de-fr"]
    assert legs("pt-en", "en-fr", "pt-fr", forbid_pivot=True) == ["pt-fr"]


def test_a_pivot_that_is_not_ready_is_waited_for() -> None:
    with pytest.raises(ModelNotReadyError, match="en-fr"):
        legs("pt-en", unready=("en-fr",))
    with pytest.raises(ModelNotReadyError, match="pt-fr"):
        legs("pt-en", "en-fr", unready=("pt-fr",))


@pytest.mark.parametrize("models", [("pt-en", "de-fr"), ("pt-en", "en-pt"), ("en-fr",)])
def test_without_a_way_the_pair_is_unknown(models: tuple[str, ...]) -> None:
    with pytest.raises(UnknownLanguagePairError, match='from "pt" to "fr"'):
        legs(*models)


def test_a_model_of_many_languages_may_be_a_leg() -> None:
    made = Catalogue(VariantChoice((), 0.3))
    made.replace([Variant(each, True) for each in (many_to_many(), manifest_of())])
    assert [(each.source, each.target) for each in made.pick_legs("es", "fr", "")] == [
        ("es", "en"),
        ("en", "fr"),
    ]


def served(*pairs: tuple[str, str], ready: bool = True) -> list[Variant]:
    """A model of one pair each, named by it."""
    return [
        Variant(replace(manifest_of(), name="-".join(pair), language_pairs=(pair,)), ready)
        for pair in pairs
    ]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("pt-BR", "en-pt-BR"),
        (">>pob<<", "en-pt-BR"),
        ("pt-PT", "en-pt"),
        ("pt", "en-pt"),
        ("zh-TW", "en-zh-Hant"),
        ("zh-CN", "en-zh"),
        ("no", "en-nob"),
        ("nb-NO", "en-nob"),
        ("iw", "en-he"),
        ("sr-Latn", "en-sr-Latn"),
        ("sr", "en-sr"),
    ],
)
def test_the_closest_language_serves(target: str, name: str) -> None:
    made = Catalogue(VariantChoice((), 0.3))
    targets = ("pt", "pt-BR", "zh", "zh-Hant", "nob", "he", "sr-Latn", "sr")
    made.replace(served(*(("en", each) for each in targets)))
    variant, source, _ = made.pick_translator("en-US", target, "")
    assert (variant.name, source) == (name, "en")


def test_a_wider_language_serves_while_the_closest_is_not_ready() -> None:
    made = Catalogue(VariantChoice((), 0.3))
    made.replace([*served(("en", "pt-BR"), ready=False), *served(("en", "pt"))])
    assert made.pick_translator("en", "pt-BR", "")[0].name == "en-pt"
    with pytest.raises(UnknownLanguagePairError, match="en to pt"):
        made.pick_translator("en", "zh-Hant", "")


def test_what_was_measured_of_variants_does_not_part_them() -> None:
    measured = {"quality": {"bleu": 1.0}, "speed": {"here": 2.0}, "quality_model": QUALITY_MODEL}
    int8 = replace(manifest_of("int8"), **measured)
    other = replace(manifest_of("fp32"), checkpoint_sha256="of another")
    made = Catalogue(VariantChoice((), 0.3))
    made.replace([Variant(int8, True), Variant(manifest_of("fp32"), True)])
    found = made.other(int8.name, "")
    assert found is not None and found.name == "en-fr_fp32"
    made.replace([Variant(int8, True), Variant(other, True)])
    assert made.other(int8.name, "") is None
