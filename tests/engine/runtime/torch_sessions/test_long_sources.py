"""LongT5 with the torch session: as `transformers` answers, and in memory that grows as sources."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from engine.contract.manifest import Manifest
from engine.export.graphs.transformer import TransformerGraphs
from engine.export.native.transformer import write_native
from engine.export.precision.float_graphs import ENCODER, STEP
from engine.export.precision.recipes import Recipe
from engine.model.checkpoint import load_checkpoint
from engine.runtime.decoding.settings import Decoding
from engine.runtime.sessions.torch.attention import local
from engine.runtime.sessions.torch.encoder import encoder_states
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import load_model
from tests.engine.model.seq2seq_checkpoints import write_longt5_global, write_longt5_local
from tests.engine.native.answers import random_sources
from tests.engine.native.manifests import bare_manifest
from tests.engine.native.models import LONG_KINDS, write_variant
from tests.engine.parallel.shards.peak import TensorPeak
from tests.engine.runtime.oracle import Oracle
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = (61, 1, 3, 4, 7, 8, 17, 30)
"""A window has 11 tokens and a block 4: some sources are shorter than either."""

LIMIT = 12

LONG = 16_384


@dataclass(frozen=True)
class StoredCheckpoint:
    """A random checkpoint, what was made of it for a session, and its manifest."""

    checkpoint: Path
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module", params=[write_longt5_local, write_longt5_global])
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> StoredCheckpoint:
    write: Callable[[Path, int], None] = request.param
    root = tmp_path_factory.mktemp("longt5")
    write(root / "checkpoint", 3)
    checkpoint = load_checkpoint(root / "checkpoint")
    builder = TransformerGraphs(checkpoint.transformer, checkpoint.suppressed_ids)
    graphs = {ENCODER: builder.encoder(), STEP: builder.decoder_step()}
    recipes = dict.fromkeys(graphs, Recipe("fp32"))
    config, folder = checkpoint.config, root / "fp32"
    folder.mkdir()
    write_native(folder, config, graphs, recipes, checkpoint.suppressed_ids)
    manifest = bare_manifest(
        "longt5",
        longest=max(LENGTHS),
        precision="fp32",
        vocab_size=config.vocab_size,
        pad_id=config.pad_id,
        eos_id=config.eos_id,
        decoder_start_id=config.decoder_start_id,
        decoder_layers=config.decoder_layers,
        decoder_heads=config.decoder_heads,
        head_width=config.head_width,
    )
    return StoredCheckpoint(root / "checkpoint", folder, manifest)


@pytest.mark.parametrize("beams", [1, 4])
def test_answers_are_those_of_transformers(stored: StoredCheckpoint, beams: int) -> None:
    session = TorchSession(stored.folder, stored.manifest, 16, None)
    texts = random_sources(stored.manifest, LENGTHS, seed=3)
    kept = {"num_beams": beams, "num_return_sequences": beams}
    expected = Oracle(stored.checkpoint, stored.manifest).answers(
        texts, max_new_tokens=LIMIT, use_cache=False, **kept
    )
    decoding = Decoding(LIMIT, num_beams=beams, num_hypotheses=beams)
    wishes = [Wish(text, LIMIT, decoding) for text in texts]
    for made, others in zip(decode_rows(session, wishes, 16, seed=2), expected, strict=True):
        assert [tokens for tokens, _ in made] == [other.tokens for other in others]
        if beams > 1:
            scores = [other.score for other in others]
            assert [score for _, score in made] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("name", LONG_KINDS)
def test_memory_grows_as_a_source_does(name: str, tmp_path: Path) -> None:
    kind = LONG_KINDS[name]
    sizes = {"encoder_layers": 1, "max_positions": LONG, "local_radius": 127, "global_block": 16}
    config = replace(kind.config, **sizes)
    variant = write_variant(tmp_path / name, replace(kind, config=config), "fp32")
    model = load_model(variant.folder, torch.device("cpu"), torch.float32)

    def most(length: int) -> int:
        ids = torch.tensor(random_sources(variant.manifest, [length], seed=1))
        with torch.inference_mode(), TensorPeak() as peak:
            encoder_states(model, ids, torch.tensor([length]))
        return peak.most

    # Scores of all pairs would be 1 GiB for each head.
    whole, half = most(LONG), most(LONG // 2)
    assert whole < min(2**26, 2.1 * half)


@pytest.mark.parametrize("name", LONG_KINDS)
def test_blocks_of_a_gpu_give_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = write_variant(tmp_path / name, LONG_KINDS[name], "fp32")
    model = load_model(variant.folder, torch.device("cpu"), torch.float32)
    lengths = torch.tensor(LENGTHS)
    ids = torch.randint(variant.kind.config.vocab_size, (len(LENGTHS), max(LENGTHS)))
    found = []
    for radii in (local._RADII["cpu"], local._RADII["cuda"]):
        monkeypatch.setitem(local._RADII, "cpu", radii)
        with torch.inference_mode():
            states = encoder_states(model, ids, lengths).view(*ids.shape, -1)
        found.append(states)
    real = torch.arange(max(LENGTHS)) < lengths[:, None]
    assert torch.isfinite(found[0]).all() and torch.isfinite(found[1]).all()
    torch.testing.assert_close(found[1][real], found[0][real], rtol=0, atol=1e-4)
