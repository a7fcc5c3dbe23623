"""Which group is given which row."""

from engine.contract.events import Delta, End, FinishReason
from engine.contract.options import Options
from engine.parallel.groups.bounds import Bounds
from engine.parallel.groups.ledger import GroupLoad, Ledger
from engine.parallel.groups.routed_row import RoutedRow
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.text.detokenizer import Detokenizer


def rows(*lengths: int, name: str = "a", deaths: int = 0) -> list[RoutedRow]:
    request = Request(name, ["text"] * len(lengths), Options(), lambda *_: None)
    return [
        RoutedRow(
            Row(
                request,
                index,
                RowPlan([5] * length, 4, arrived=0.0),
                GreedySearch(0),
                RowProgress(Detokenizer([])),
            ),
            deaths=deaths,
        )
        for index, length in enumerate(lengths)
    ]


def ledger(**budgets: int) -> Ledger:
    return Ledger(Bounds(), {int(name[1:]): GroupLoad(each) for name, each in budgets.items()})


def test_rows_go_where_most_tokens_are_free() -> None:
    book = ledger(g0=1000, g1=1000)
    shares = book.add(rows(500, 20, 20, 20))
    assert {share.group: sorted(share.rows) for share in shares} == {0: [0], 1: [1, 2, 3]}
    assert [load.free for load in book.loads.values()] == [1000 - 504, 1000 - 3 * 24]
    assert [share.group for share in book.add(rows(10, name="b"))] == [1]


def test_a_larger_budget_takes_more() -> None:
    book = ledger(g0=100, g1=1000)
    assert [share.group for share in book.add(rows(10, 10, 10))] == [1]


def test_rows_that_end_free_their_tokens() -> None:
    book = ledger(g0=100)
    (share,) = book.add(rows(10, 20))
    book.close(share, 1)
    assert (book.loads[0].tokens, book.open_rows, list(share.rows)) == (14, 1, [0])
    book.close(share, 0)
    assert (book.loads[0].tokens, book.open_rows, book.shares) == (0, 0, {})


def test_rows_wait_for_a_group() -> None:
    book = ledger()
    assert book.add(rows(10, 10)) == []
    assert (book.open_rows, len(book.waiting)) == (2, 2)
    book.loads[3] = GroupLoad(100)
    (share,) = book.place()
    assert (share.group, sorted(share.rows), book.waiting) == (3, [0, 1], [])


def test_a_group_that_dies_gives_its_rows_back() -> None:
    book = ledger(g0=100, g1=100)
    asked = rows(10, 10, 10, 10)
    book.add(asked)
    lost = book.lose(0)
    assert len(lost) == 2 and set(lost) < set(asked)
    assert {share.group for share in book.shares.values()} == {1}
    book.waiting += lost
    (again,) = book.place()
    assert again.group == 1 and book.loads[1].tokens == 4 * 14 and book.open_rows == 4


def test_a_group_has_one_suspect_at_a_time() -> None:
    book = ledger(g0=100, g1=100)
    suspects = rows(10, 10, 10, deaths=2)
    shares = book.add(suspects)
    assert sorted(share.group for share in shares) == [0, 1]
    assert book.waiting == suspects[2:]
    assert len(book.add(rows(10, 10, name="b"))) == 2  # others go beside them
    first = shares[0]
    book.close(first, *first.rows)
    (next_,) = book.place()
    assert (next_.group, list(next_.rows.values())) == (first.group, suspects[2:])


def test_a_cancel_finds_what_waits_and_what_runs() -> None:
    book = ledger(g0=100)
    (share,) = book.add(rows(10, name="a"))
    book.add(rows(10, name="b"))
    waiting, shares = book.cancel("a")
    assert (waiting, shares) == ([], [share])
    assert [one.cancelled for one in share.rows.values()] == [True]
    book.lose(0)
    held = rows(10, name="c")
    book.add(held)
    waiting, shares = book.cancel("c")
    assert (waiting, shares) == (held, [])
    book.drop(waiting)
    assert book.waiting == []


def test_a_row_that_is_run_again_repeats_nothing() -> None:
    (routed,) = rows(3)
    assert routed.relay(Delta(0, "Un pe")) == Delta(0, "Un pe")
    routed.restart()
    assert routed.relay(Delta(0, "Un")) is None
    assert routed.relay(Delta(0, " petit")) == Delta(0, "tit")
    routed.restart()
    end = routed.relay(End(0, FinishReason.EOS, text="Un petit mot."))
    assert isinstance(end, End) and end.text == " mot."


def test_another_answer_is_an_error() -> None:
    for event in (Delta(0, "Une"), End(0, FinishReason.EOS, text="Un")):
        (routed,) = rows(3)
        routed.relay(Delta(0, "Un pe"))
        routed.restart()
        end = routed.relay(event)
        assert isinstance(end, End) and end.finish_reason is FinishReason.ERROR


def test_an_answer_that_is_broken_off_before_it_was_repeated_is_none() -> None:
    (routed,) = rows(3)
    routed.relay(Delta(0, "Un pe"))
    routed.restart()
    end = routed.relay(End(0, FinishReason.CANCELLED, text="Un"))
    assert isinstance(end, End)
    assert (end.text, end.finish_reason) == ("", FinishReason.CANCELLED)
