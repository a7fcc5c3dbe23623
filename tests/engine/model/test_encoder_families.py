"""Every encoder family and head: our model and its graph against `transformers`."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
import transformers

from engine.export.graphs.encoder import EncoderGraphs
from engine.model.checkpoint import CheckpointError, load_checkpoint
from tests.engine.model.encoder_checkpoints import FAMILIES, HEADS, LONGEST, MASK_ID

CASES = [(family, head) for family, heads in HEADS.items() for head in heads]
LENGTHS = (LONGEST, 1, 9, 40)
REFERENCES = {
    "classification": transformers.AutoModelForSequenceClassification,
    "spans": transformers.AutoModelForQuestionAnswering,
}


def inputs(vocabulary: int, pad_id: int, types: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    ids = torch.randint(5, vocabulary, shape, generator=random)
    ids[0, 3] = ids[3, 5] = min(MASK_ID, vocabulary - 1)
    mask = torch.arange(shape[1])[None] < torch.tensor(LENGTHS)[:, None]
    token_types = torch.randint(0, max(1, types), shape, generator=random)
    return {
        "input_ids": torch.where(mask, ids, pad_id),
        "mask": mask,
        "token_types": torch.where(mask, token_types, 0),
    }


@torch.no_grad()
def reference(folder: Path, head: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    model = REFERENCES[head].from_pretrained(folder).eval()
    arguments = {"input_ids": batch["input_ids"], "attention_mask": batch["mask"].long()}
    if batch["token_types"].any():
        arguments["token_type_ids"] = batch["token_types"]
    output = model(**arguments)
    if head == "classification":
        return torch.as_tensor(output.logits)
    logits = torch.stack([output.start_logits, output.end_logits], dim=2)
    return torch.as_tensor(logits)[batch["mask"]]


@pytest.mark.parametrize(("family", "head"), CASES)
def test_logits_equal_those_of_transformers(tmp_path: Path, family: str, head: str) -> None:
    FAMILIES[family](tmp_path, head, 1)
    checkpoint = load_checkpoint(tmp_path)
    model = checkpoint.encoder
    assert checkpoint.max_source_tokens == LONGEST
    config = model.config
    batch = inputs(config.vocab_size, config.pad_id, config.token_types)
    theirs = reference(tmp_path, head, batch)
    spread = theirs.std(dim=0).mean()
    assert spread > 0.1, "a model that ignores its input would prove nothing"

    with torch.no_grad():
        ours = model(**batch)
    ours = ours if head == "classification" else ours[batch["mask"]]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)

    graph = EncoderGraphs(model).graph().SerializeToString()
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    assert wanted == {"input_ids", "mask"} | ({"token_types"} if config.token_types else set())
    feed = {name: tensor.long().numpy() for name, tensor in batch.items() if name in wanted}
    (logits,) = session.run(["logits"], feed)
    logits = logits if head == "classification" else logits[batch["mask"].numpy()]
    np.testing.assert_allclose(logits, theirs.numpy(), atol=2e-4, rtol=1e-4)


REFUSED = [
    ("bert", {"is_decoder": True}, "is_decoder"),
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ("roberta", {"hidden_act": "quick_gelu"}, "hidden_act"),
    ("xlm-roberta-xl", {"num_attention_heads": 5}, "num_attention_heads"),
    ("electra-small", {"add_cross_attention": True}, "add_cross_attention"),
    ("albert", {"num_hidden_groups": 9}, "num_hidden_groups"),
    ("esm2", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ("deberta-v3", {"conv_kernel_size": 3}, "conv_kernel_size"),
    ("deberta-v3", {"pos_att_type": ["p2p"]}, "pos_att_type"),
    ("deberta-v3", {"relative_attention": False}, "relative_attention"),
    ("distilbert", {"activation": "none"}, "activation"),
]


@pytest.mark.parametrize(("family", "change", "field"), REFUSED)
def test_what_is_not_supported_is_refused_by_the_name_of_its_field(
    tmp_path: Path, family: str, change: dict[str, object], field: str
) -> None:
    FAMILIES[family](tmp_path, "classification", 1)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=field):
        load_checkpoint(tmp_path)


def test_a_base_model_has_no_head_to_serve(tmp_path: Path) -> None:
    FAMILIES["bert"](tmp_path, "classification", 1)
    transformers.BertModel.from_pretrained(tmp_path).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="BertModel"):
        load_checkpoint(tmp_path)
