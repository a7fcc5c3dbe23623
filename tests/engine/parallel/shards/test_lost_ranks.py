"""Groups of real processes: what becomes of a rank that is stopped, killed, hangs, or is alone."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist

from engine.parallel.group_session import follow_group, open_group_session
from engine.parallel.layout import Layout
from engine.parallel.shards.ranks import RankLostError
from engine.parallel.shards.session import ShardedSession
from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.answers import decode
from tests.engine.native.models import KINDS, RandomVariant, write_variant
from tests.engine.parallel.shards.shard_world import open_members

pytestmark = pytest.mark.usefixtures("one_thread")

BOUND = 3.0
LAYOUT = Layout(tensor=2)
TEXTS = [[5, 6, 7, 8, 1], [9, 1]]


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("lost") / "fp32", KINDS["marian"], "fp32")


@contextmanager
def group(variant: RandomVariant, store: str) -> Iterator[tuple[ShardedSession, ForkServerProcess]]:
    """A session of two ranks, and the process of the second."""
    follow = partial(
        *(follow_group, variant.folder, variant.manifest, 4, LAYOUT, 1, store), bound=BOUND
    )
    with open_members([follow]) as (member,):
        try:
            session = open_group_session(
                *(variant.folder, variant.manifest, 4, LAYOUT, 0, store), bound=BOUND
            )
            yield session, member
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


def test_a_group_answers_and_stops(variant: RandomVariant, tmp_path: Path) -> None:
    with group(variant, str(tmp_path / "store")) as (session, member):
        made = decode(session, TEXTS, [9, 9])
        session.close()
        member.join(20)
        assert member.exitcode == 0
    whole = TorchSession(variant.folder, variant.manifest, 4, None)
    for one, other in zip(made, decode(whole, TEXTS, [9, 9]), strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_rank_is_found_within_the_bound(
    variant: RandomVariant, tmp_path: Path, sign: signal.Signals
) -> None:
    with group(variant, str(tmp_path / "store")) as (session, member):
        decode(session, TEXTS, [9, 9])
        os.kill(member.pid or 0, sign)
        began = time.monotonic()
        with pytest.raises(DeviceLostError, match="a rank of this group"):
            decode(session, TEXTS, [9, 9])
        assert time.monotonic() - began < BOUND + 2
        with pytest.raises(RankLostError):
            session.encode(TEXTS)
        # It ends by itself once rank 0 does.
        if sign is signal.SIGSTOP:
            os.kill(member.pid or 0, signal.SIGCONT)
        dist.destroy_process_group()
        member.join(20)
        assert member.exitcode
