import pytest

from services.inference.catalogue import Catalogue, Variant
from services.inference.errors import (
    ModelNotReadyError,
    TritonUnavailableError,
    UnknownLanguagePairError,
    UnknownModelError,
)
from services.inference.twin import manifest_of


def catalogue(*, int8: bool = True, fp32: bool = True) -> Catalogue:
    made = Catalogue(("int8", "fp32"))
    made.replace([Variant(manifest_of("fp32"), fp32), Variant(manifest_of("int8"), int8)])
    return made


@pytest.mark.parametrize("source", ["en", "EN", "en-GB", "en_US"])
def test_prefers_int8(source: str) -> None:
    assert catalogue().pick(source, "fr", "").name == "en-fr_int8"


def test_takes_what_is_ready() -> None:
    assert catalogue(int8=False).pick("en", "fr", "en-fr").name == "en-fr_fp32"


def test_a_named_variant_is_that_variant() -> None:
    assert catalogue().pick("en", "fr", "en-fr_fp32").name == "en-fr_fp32"
    with pytest.raises(ModelNotReadyError):
        catalogue(fp32=False).pick("en", "fr", "en-fr_fp32")


def test_says_what_there_is() -> None:
    with pytest.raises(UnknownModelError, match="en-fr, en-fr_fp32, en-fr_int8") as model:
        catalogue().pick("en", "fr", "nope")
    assert model.value.field == "model"
    with pytest.raises(UnknownLanguagePairError, match="en to fr") as pair:
        catalogue().pick("en", "de", "")
    assert pair.value.field == "target_language_code"
    with pytest.raises(UnknownLanguagePairError) as pair:
        catalogue().pick("english", "fr", "")
    assert pair.value.field == "source_language_code"


def test_a_lost_triton_is_named() -> None:
    with pytest.raises(TritonUnavailableError):
        Catalogue(()).pick("en", "fr", "")
    lost = catalogue()
    lost.lose()
    with pytest.raises(TritonUnavailableError):
        lost.pick("en", "fr", "")
    assert not lost.translates
