"""The binary file of a lexical shortlist: Marian's `lex.*.bin`.

It is little-endian: a magic number, a checksum, how many of the first tokens are in every list, how
many were kept of each source token, the number of offsets and that of ids (u64 each); the offsets
(u64), one more than there are source tokens; the ids (u32). The source is `src/data/shortlist.cpp`
of github.com/browsermt/marian-dev.
"""

import struct
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.model.errors import library_errors
from engine.model.marian.packed import read_bytes
from engine.model.shortlist import Shortlist

_MAGIC = 0xF11A48D5013417F5
_HEADER = struct.Struct("<6Q")
_CHECKED_FROM = 16
_MOST = 1 << 30


def read_shortlist(path: Path, sources: int, answers: int, end: int, *, shared: bool) -> Shortlist:
    """Reads a file for so many tokens of sources and of answers, which may be packed.

    Every answer may hold `end`; where both sides have a vocabulary that is `shared`, also each
    token of its source, as in Marian.

    Raises:
        CheckpointError: it can't be read, is damaged, of another form, or of another model.

    """
    content = read_bytes(path, _MOST)
    with library_errors(f"{path} is no shortlist that is supported"):
        first, offsets, ids = _parts(content)
        if len(offsets) != sources + 1 or first > answers or ids.max(initial=0) >= answers:
            raise ValueError("it is of another vocabulary than the model.")
    every = np.union1d(np.arange(first), [end])
    lists = [ids[begin:until] for begin, until in pairwise(offsets)]
    if shared:
        lists = [np.append(one, token) for token, one in enumerate(lists)]
    # Padding stands behind the other tokens and is in no source.
    parts = [every, *lists, np.zeros(0, np.int32)]
    ends = np.cumsum([part.size for part in parts])
    return Shortlist(ends.astype(np.int32), np.concatenate(parts).astype(np.int32))


def _parts(content: bytes) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """How many first tokens every list has, the offsets, and the ids."""
    if len(content) < _HEADER.size:
        raise ValueError("it is cut off.")
    magic, checksum, first, _, offsets, ids = _HEADER.unpack_from(content)
    if magic != _MAGIC:
        raise ValueError("only Marian's binary form is.")
    if len(content) != _HEADER.size + 8 * offsets + 4 * ids:
        raise ValueError("it is cut off or damaged: its length is not the one that it states.")
    checked = (len(content) - _CHECKED_FROM) // 8
    if checksum != _hash(np.frombuffer(content, "<u8", checked, _CHECKED_FROM).tolist()):
        raise ValueError("it is damaged: its checksum is another.")
    begins = np.frombuffer(content, "<u8", offsets, _HEADER.size).astype(np.int64)
    found = np.frombuffer(content, "<u4", ids, _HEADER.size + 8 * offsets).astype(np.int64)
    if not begins.size or begins[0] != 0 or begins[-1] != ids or (np.diff(begins) < 0).any():
        raise ValueError("its offsets do not ascend from 0 to the number of its ids.")
    return first, begins, found


def _hash(numbers: Iterable[int]) -> int:
    """Marian's checksum, that of Boost's `hash_combine`."""
    seed = 0
    for number in numbers:
        seed ^= (number + 0x9E3779B9 + (seed << 6) + (seed >> 2)) & 0xFFFFFFFFFFFFFFFF
    return seed
