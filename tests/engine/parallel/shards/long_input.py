"""What each rank holds of one source of 32,768 tokens while it is encoded, and what it sends.

`python -m tests.engine.parallel.shards.long_input` measures 1, 2 and 4 processes with a random T5
of one layer, whose keys and values go round, or are gathered; with `--attention` a LongT5, whose
ranks send each other less.  On one core a T5 takes minutes, a LongT5 seconds.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

from engine.model.config import EncoderAttention
from engine.parallel.layout import Layout
from tests.engine.native.answers import random_sources
from tests.engine.native.models import KINDS, Kind, write_variant
from tests.engine.parallel.shards.shard_world import ShardedVariant, led_world

LENGTH = 32_768
WIDTH, HEAD = 128, 64


def long_kind(length: int, attention: EncoderAttention = "full") -> Kind:
    """A T5 whose layers are wide enough for its activations to be most of what a rank holds.

    A LongT5's windows and blocks are those of its checkpoints: 127 tokens either side, and 16.
    """
    t5 = KINDS["t5"]
    heads = {"encoder_heads": 1, "decoder_heads": 1, "head_width": HEAD}
    layers = {"encoder_layers": 1, "decoder_layers": 1, "d_model": WIDTH, "encoder_ffn": 8 * WIDTH}
    reach = {"encoder_attention": attention, "local_radius": 127, "global_block": 16}
    return replace(t5, config=replace(t5.config, **heads, **layers, **reach, max_positions=length))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=LENGTH, help="tokens of the source")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4], help="of 4 processes")
    parser.add_argument("--gathered", action="store_true", help="keys and values are gathered")
    choices = get_args(EncoderAttention)
    parser.add_argument("--attention", choices=choices, default="full", help="of the encoder")
    arguments = parser.parse_args()
    length, ring = arguments.length, not arguments.gathered
    with tempfile.TemporaryDirectory() as folder, led_world(Path(folder)) as world:
        kind = long_kind(length, arguments.attention)
        variant = write_variant(Path(folder) / "fp32", kind, "fp32")
        (source,) = map(tuple, random_sources(variant.manifest, [length], seed=1))
        cross = 2 * HEAD * 4 * length
        for ranks in arguments.ranks:
            layout, began = Layout(sequence=ranks), time.monotonic()
            costs = world.costs(
                ShardedVariant(variant.folder, layout, ring=ring, sources=(source,))
            )
            peak = max(cost.peak for cost in costs)
            sent = max(sum(cost.sent.values()) for cost in costs)
            sys.stdout.write(
                f"{ranks} ranks: {peak / 2**20:.1f} MiB at most, of which cross keys and values "
                f"{cross / ranks / 2**20:.1f} MiB; sends {sent / 2**20:.2f} MiB, in "
                f"{time.monotonic() - began:.0f} s\n"
            )
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
