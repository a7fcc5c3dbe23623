import numpy as np

from engine.runtime.detokenizer import Detokenizer
from engine.runtime.request import Options, Priority, Request
from engine.runtime.row import Row
from engine.runtime.scheduler import Limits, Scheduler

NOW = 100.0


def _row(length: int = 10, priority: Priority = Priority.INTERACTIVE, arrived: float = NOW) -> Row:
    request = Request("id", ["text"], Options(priority=priority), lambda events, last: None)
    return Row(request, 0, [5] * length, 10, Detokenizer([]), arrived=arrived, deadline=np.inf)


def test_rows_are_admitted_up_to_the_limit_and_again_when_one_retires() -> None:
    scheduler = Scheduler(Limits(max_rows=2))
    rows = [_row() for _ in range(3)]
    scheduler.submit(rows)
    assert scheduler.admit(NOW) == rows[:2]
    assert scheduler.admit(NOW) == []
    scheduler.retire(rows[0])
    assert scheduler.admit(NOW) == rows[2:]
    assert scheduler.waiting_rows == 0


def test_interactive_rows_go_before_bulk_rows() -> None:
    scheduler = Scheduler(Limits(max_rows=2))
    bulk, interactive = _row(priority=Priority.BULK), _row()
    scheduler.submit([bulk])
    scheduler.submit([interactive])
    assert scheduler.admit(NOW) == [interactive]
    assert scheduler.admit(NOW) == [bulk]


def test_the_token_budget_bounds_what_runs() -> None:
    scheduler = Scheduler(Limits(token_budget=60))
    rows = [_row(10) for _ in range(4)]
    scheduler.submit(rows)
    assert rows[0].cost == 20
    assert len(scheduler.admit(NOW)) == 3


def test_a_row_over_the_budget_runs_alone() -> None:
    scheduler = Scheduler(Limits(token_budget=60))
    huge, small = _row(500), _row()
    scheduler.submit([huge, small])
    assert scheduler.admit(NOW) == [huge]
    assert scheduler.admit(NOW) == []
    scheduler.retire(huge)
    assert scheduler.admit(NOW) == [small]


def test_one_step_encodes_a_bounded_number_of_tokens() -> None:
    scheduler = Scheduler(Limits(encoder_tokens=25))
    scheduler.submit([_row(10) for _ in range(5)])
    assert [len(scheduler.admit(NOW)) for _ in range(3)] == [2, 2, 1]


def test_dropped_rows_leave_the_line_in_order() -> None:
    scheduler = Scheduler(Limits())
    rows = [_row(), _row(), _row()]
    scheduler.submit(rows)
    assert scheduler.drop_waiting(lambda row: row is rows[1]) == [rows[1]]
    assert scheduler.admit(NOW) == [rows[0], rows[2]]


def test_a_row_with_beams_waits_until_all_its_slots_are_free() -> None:
    scheduler = Scheduler(Limits(max_rows=6))
    first, beams, last = _row(), _row(), _row()
    beams.width = 6
    scheduler.submit([first, beams, last])
    assert beams.cost == 6 * first.cost
    assert scheduler.admit(NOW) == [first]
    scheduler.retire(first)
    assert scheduler.admit(NOW) == [beams]
    assert scheduler.admit(NOW) == []
    scheduler.retire(beams)
    assert scheduler.admit(NOW) == [last]


def test_bulk_rows_take_all_slots_while_nobody_else_comes() -> None:
    scheduler = Scheduler(Limits(max_rows=8, bulk_rows=2))
    rows = [_row(priority=Priority.BULK) for _ in range(9)]
    scheduler.submit(rows)
    assert scheduler.admit(NOW) == rows[:8]


def test_bulk_rows_give_way_while_interactive_ones_come() -> None:
    """Few run, and one starts a step, until nobody has come for a while."""
    scheduler = Scheduler(Limits(max_rows=8, bulk_rows=2, bulk_pause=5.0))
    interactive = _row()
    bulk = [_row(priority=Priority.BULK) for _ in range(12)]
    scheduler.submit([*bulk, interactive])
    assert scheduler.admit(NOW) == [interactive]
    assert scheduler.admit(NOW) == bulk[:1]
    assert scheduler.admit(NOW) == bulk[1:2]
    assert scheduler.admit(NOW) == []
    scheduler.retire(interactive)
    assert scheduler.admit(NOW + 4) == []
    scheduler.retire(bulk[0])
    assert scheduler.admit(NOW + 4) == bulk[2:3]
    assert scheduler.admit(NOW + 6) == bulk[3:9]


def test_interactive_rows_find_room_beside_bulk_rows() -> None:
    scheduler = Scheduler(Limits(max_rows=4, bulk_rows=1))
    scheduler.submit([_row(priority=Priority.BULK) for _ in range(9)])
    full = scheduler.admit(NOW)
    interactive = [_row() for _ in range(3)]
    scheduler.submit(interactive)
    for row in full:
        scheduler.retire(row)
    assert scheduler.admit(NOW) == interactive


def test_a_bulk_row_wider_than_its_share_is_not_kept_waiting_for_ever() -> None:
    scheduler = Scheduler(Limits(max_rows=8, bulk_rows=2))
    interactive, beams, other = _row(), _row(priority=Priority.BULK), _row(priority=Priority.BULK)
    beams.width = 4
    scheduler.submit([interactive, beams, other])
    assert scheduler.admit(NOW) == [interactive]
    assert scheduler.admit(NOW) == [beams]
    assert scheduler.admit(NOW) == []
    scheduler.retire(beams)
    assert scheduler.admit(NOW) == [other]
