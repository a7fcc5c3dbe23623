"""Marian's lexical shortlists: what is read of them, and what is refused."""

import gzip
from pathlib import Path

import pytest

from engine.model.checkpoint import CheckpointError
from engine.model.marian.folder import find, write_checkpoint
from engine.model.marian.shortlist_file import read_shortlist
from engine.model.shortlist import Shortlist
from tests.engine.model.marian_files import (
    PIECES,
    SOURCE_PIECES,
    make_student,
    to_shortlist,
    write_folder,
)

LISTS: list[list[int]] = [[7, 8], [], [9], [1, 5]]


def read(path: Path, content: bytes, *, shared: bool = False) -> Shortlist:
    path.write_bytes(content)
    return read_shortlist(path, len(LISTS), 12, 11, shared=shared)


@pytest.mark.parametrize("packed", [False, True])
def test_likely_are_the_first_tokens_the_end_and_those_of_the_source(
    packed: bool, tmp_path: Path
) -> None:
    content = to_shortlist(LISTS, first=2)
    shortlist = read(tmp_path / "lex.bin", gzip.compress(content) if packed else content)
    assert shortlist.likely([]).tolist() == [0, 1, 11]
    assert shortlist.likely([1]).tolist() == [0, 1, 11]
    assert shortlist.likely([3, 0, 3]).tolist() == [0, 1, 5, 7, 8, 11]
    # Padding, which stands behind the other tokens.
    assert shortlist.likely([4]).tolist() == [0, 1, 11]


def test_with_one_vocabulary_a_token_may_be_copied(tmp_path: Path) -> None:
    shortlist = read(tmp_path / "lex.bin", to_shortlist(LISTS, first=1), shared=True)
    assert shortlist.likely([2, 3]).tolist() == [0, 1, 2, 3, 5, 9, 11]


WHOLE = to_shortlist(LISTS, first=2)


def with_number(place: int, value: int) -> bytes:
    """The file with another number in its header, and a checksum that fits."""
    return to_shortlist(LISTS, first=2, header={place: value})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is cut off"),
        (WHOLE[:40], "is cut off"),
        (WHOLE[:-4], "is cut off or damaged"),
        (WHOLE + b"\0", "is cut off or damaged"),
        (b"\0" + WHOLE[1:], "only Marian's binary form is"),
        (WHOLE[:50] + b"\x07" + WHOLE[51:], "its checksum is another"),
        (with_number(5, 1 << 60), "is cut off or damaged"),
        (with_number(2, 13), "of another vocabulary"),
        (to_shortlist([*LISTS, []], first=2), "of another vocabulary"),
        (to_shortlist([[12], [], [], []], first=2), "of another vocabulary"),
        (to_shortlist(LISTS, first=2, offsets=[0, 2, 1, 3, 5]), "do not ascend"),
        (to_shortlist(LISTS, first=2, offsets=[1, 2, 2, 3, 5]), "do not ascend"),
        (to_shortlist(LISTS, first=2, offsets=[0, 2, 2, 3, 4]), "do not ascend"),
        (b"the der 0.5\n" * 20, "only Marian's binary form is"),
    ],
)
def test_what_is_damaged_or_of_another_model_is_refused(
    content: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        read(tmp_path / "lex.bin", content)
    assert str(tmp_path / "lex.bin") in str(caught.value) and "\n" not in str(caught.value)


def with_shortlist(folder: Path, name: str, sources: int = PIECES) -> Path:
    lists = [[token % 7, min(30 + token, PIECES - 1)] for token in range(sources)]
    (folder / name).write_bytes(to_shortlist(lists, first=5))
    return folder / name


@pytest.mark.parametrize("source_pieces", [0, SOURCE_PIECES])
def test_a_folder_brings_its_own_where_it_is_wanted(source_pieces: int, tmp_path: Path) -> None:
    student = make_student(source_pieces=source_pieces)
    folder = write_folder(tmp_path / "model", student)
    path = with_shortlist(folder, "lex.50.50.enpt.s2t.bin", source_pieces or PIECES)
    found = find(folder)
    assert found and found.shortlist == path
    for wanted in (False, True):
        (target := tmp_path / f"{wanted}").mkdir()
        write_checkpoint(found, target, shortlist=wanted)
        shortlist = Shortlist.load(target)
        assert (shortlist is not None) == wanted
    assert shortlist
    # With a vocabulary each, a source's token is none of its answer's.
    copied = {20} if not source_pieces else set()
    assert set(shortlist.likely([20]).tolist()) == {0, 1, 2, 3, 4, 6, 50} | copied
    assert shortlist.ends.size == (source_pieces or PIECES) + 2


def test_a_packed_one_is_found(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", make_student(), packed=True)
    path = with_shortlist(folder, "lex.50.50.enpt.s2t.bin.gz")
    found = find(folder)
    assert found and found.shortlist == path


def test_a_configuration_names_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", make_student())
    with_shortlist(folder, "lex.other.bin")
    path = with_shortlist(folder, "words.bin")
    lines = ["models: [model.enpt.intgemm.alphas.bin]", "shortlist: [words.bin, false]"]
    lines.append("vocabs: [vocab.enpt.spm, vocab.enpt.spm]")
    (folder / "config.yml").write_text("\n".join(lines))
    found = find(folder)
    assert found and found.shortlist == path
