"""Places, channels, probes, pauses and the interpreter of groups, each by itself."""

import socket
import sys
import threading
from pathlib import Path

import pytest

from engine.contract.options import Options
from engine.parallel.groups import interpreter
from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.channel import RankChannel, Sender
from engine.parallel.groups.messages import CancelRows, RowsSaid, StartRank, TakeRows
from engine.parallel.groups.probes import Probes
from engine.parallel.layout import Layout
from engine.parallel.places import VISIBLE, GroupPlace, LayoutError, places_of, variables_of
from engine.runtime.engine import Settings
from engine.runtime.request import Request, RowPlan


def test_groups_share_cores() -> None:
    places = places_of(Layout(data=3), range(10, 18), gpus=0)
    assert [place.cores for place in places] == [(10, 11, 12), (13, 14, 15), (16, 17)]
    with pytest.raises(LayoutError, match="needs a core for each of its 3 groups, and there are 2"):
        places_of(Layout(data=3), [4, 7], gpus=0)
    (place,) = places_of(Layout(tensor=2), [4, 7, 9], gpus=0)
    assert variables_of(place, 1, Layout(tensor=2)) == {"OMP_NUM_THREADS": "1"}


def test_each_rank_sees_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    layout = Layout(tensor=2, data=2)
    places = places_of(layout, [0, 1], gpus=5)
    assert places == [GroupPlace(gpus=(0, 1)), GroupPlace(gpus=(2, 3))]
    assert variables_of(places[1], 1, layout) == {VISIBLE: "3"}
    monkeypatch.setenv(VISIBLE, "GPU-a, GPU-b,GPU-c,GPU-d,GPU-e")
    assert variables_of(places[1], 0, layout) == {VISIBLE: "GPU-c"}
    with pytest.raises(LayoutError, match="needs 4 GPUs, and there are 3"):
        places_of(layout, [0, 1], gpus=3)


def test_messages_arrive_whole_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    one, other = RankChannel(ours), RankChannel(theirs)
    plan = RowPlan([1, 2], 9, 0.5, key=(2**64 - 1, 3), forced={0: 4}, needs=frozenset({"logits"}))
    long = TakeRows(1, Options(stream=True).as_dict(), [(7, plan)] * 20_000)
    start = StartRank("a", Settings(lanes=2), Layout(data=2), 1, "store", (0, 3), 0.5)
    sent = [start, long, CancelRows(1), RowsSaid(3, [])]
    sender = Sender(one, "test")
    for message in sent:
        sender.post(message)
    found = []
    while len(found) < len(sent):
        found += other.receive()
    assert found == sent
    one.close()
    with pytest.raises(EOFError):
        other.receive()
    sender.close()
    other.close()


def test_a_rank_that_reads_nothing_holds_up_nobody() -> None:
    ours, theirs = socket.socketpair()
    sender = Sender(RankChannel(ours), "test")
    plan = RowPlan([1] * 1000, 9, 0.5)
    for number in range(1000):
        sender.post(TakeRows(number, {}, [(0, plan)]))
    theirs.close()
    done = threading.Thread(target=sender.close)
    done.start()
    done.join(10)
    assert not done.is_alive()
    ours.close()


def test_a_probe_waits_for_all_groups_that_live() -> None:
    probes, request = Probes(), Request("probe", [], Options(), lambda *_: None)
    number = probes.ask(request, {0, 1})
    assert probes.note_round(0, number) == []
    assert probes.note_round(0, number) == []
    assert probes.lose(1, has_groups=True) == [request]
    assert probes.note_round(0, number) == []
    probes.ask(request, {0})
    assert (probes.lose(0, has_groups=False), probes.unasked) == ([], [request])


def test_a_group_that_does_not_last_rests() -> None:
    bounds = Bounds()
    assert [bounds.pause_after(0.0, n) for n in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert bounds.pause_after(bounds.lasting, 5) == 0


def test_the_interpreter_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Python is embedded, and `sys.executable` is something else."""
    monkeypatch.setattr(sys, "executable", "/bin/true")
    interpreter.find_interpreter.cache_clear()
    assert interpreter.find_interpreter() == Path(sys.prefix) / "bin" / "python3"


def test_without_an_interpreter_a_sentence_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to("/bin/true")
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    interpreter.find_interpreter.cache_clear()
    with pytest.raises(interpreter.InterpreterMissingError, match=f"{tmp_path}.*first into PATH"):
        interpreter.find_interpreter()
    monkeypatch.undo()
    interpreter.find_interpreter.cache_clear()
