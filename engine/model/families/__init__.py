"""One file per checkpoint family: how its Hugging Face format maps onto `engine.model`.

A family is registered here, by the `model_type` of its checkpoints.
"""

from types import ModuleType

from engine.model.families import (
    albert,
    bart,
    bert,
    deberta,
    distilbert,
    electra,
    esm,
    longt5,
    m2m100,
    marian,
    marian_nmt,
    mbart,
    pegasus,
    roberta,
    t5,
    xlm_roberta_xl,
)


def _register(*modules: ModuleType) -> dict[str, ModuleType]:
    return {model_type: module for module in modules for model_type in module.MODEL_TYPES}


SEQ2SEQ_FAMILIES = _register(bart, longt5, m2m100, marian, marian_nmt, mbart, pegasus, t5)
ENCODER_FAMILIES = _register(
    albert, bert, deberta, distilbert, electra, esm, roberta, xlm_roberta_xl
)
