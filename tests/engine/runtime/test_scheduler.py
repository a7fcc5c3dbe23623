from engine.contract.options import Options, Priority
from engine.runtime.batching.scheduler import TOKEN_BUDGET, Limits, Scheduler
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.text.detokenizer import Detokenizer

NOW = 100.0


def _row(
    length: int = 10,
    priority: Priority = Priority.INTERACTIVE,
    arrived: float = NOW,
    tenant: str = "",
    width: int = 1,
) -> Row:
    options = Options(priority=priority, tenant=tenant)
    request = Request("id", ["text"], options, lambda events, last: None)
    strategy = GreedySearch(eos_id=0)
    strategy.width = width
    plan = RowPlan([5] * length, 10, arrived)
    return Row(request, 0, plan, strategy, RowProgress(Detokenizer([])))


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


def test_without_a_token_budget_that_of_processors_bounds_what_runs() -> None:
    scheduler = Scheduler(Limits(max_rows=1024, encoder_tokens=1 << 20))
    scheduler.submit([_row(1000) for _ in range(20)])
    running = scheduler.admit(NOW)
    assert 0 < sum(one.cost for one in running) <= TOKEN_BUDGET == 16_384
    assert len(running) < 20


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
    first, beams, last = _row(), _row(width=6), _row()
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
    scheduler = Scheduler(Limits(max_rows=8, bulk_rows=2, pause=5.0))
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
    interactive, other = _row(), _row(priority=Priority.BULK)
    beams = _row(priority=Priority.BULK, width=4)
    scheduler.submit([interactive, beams, other])
    assert scheduler.admit(NOW) == [interactive]
    assert scheduler.admit(NOW) == [beams]
    assert scheduler.admit(NOW) == []
    scheduler.retire(beams)
    assert scheduler.admit(NOW) == [other]


def _of(tenant: str, count: int = 1, arrived: float = NOW, width: int = 1) -> list[Row]:
    return [_row(arrived=arrived, tenant=tenant, width=width) for _ in range(count)]


def test_the_tenant_with_the_fewest_slots_goes_next() -> None:
    scheduler = Scheduler(Limits(max_rows=4))
    many, few = _of("many", 6), _of("few", 4, arrived=NOW + 0.1)
    scheduler.submit(many)
    scheduler.submit(few)
    assert scheduler.admit(NOW) == [many[0], few[0], many[1], few[1]]
    scheduler.retire(many[0])
    assert scheduler.admit(NOW) == [many[2]]
    scheduler.retire(few[0])
    assert scheduler.admit(NOW) == [few[2]]


def test_a_tenant_alone_takes_all_slots() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=2))
    rows = _of("many", 9)
    scheduler.submit(rows)
    assert scheduler.admit(NOW) == rows[:8]


def test_a_tenant_with_most_of_the_rows_is_throttled() -> None:
    """It has few slots, starts one row a step, and takes all again when nobody else comes."""
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=2))
    many, few = _of("many", 20), _of("few")
    scheduler.submit([*many, *few])
    assert scheduler.admit(NOW) == [*few, many[0]]
    assert scheduler.admit(NOW) == [many[1]]
    assert scheduler.admit(NOW) == []
    scheduler.retire(few[0])
    assert scheduler.admit(NOW + 2) == []
    scheduler.retire(many[0])
    assert scheduler.admit(NOW + 2) == [many[2]]
    assert scheduler.admit(NOW + 4) == many[3:9]


def test_it_is_throttled_as_long_as_its_rows_wait_and_others_come() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=2))
    scheduler.submit(_of("many", 40))
    scheduler.submit(_of("few"))
    for second in range(12):
        started = scheduler.admit(NOW + second) + scheduler.admit(NOW + second)
        for row in started:
            scheduler.retire(row)
        assert [row.options.tenant for row in started].count("many") == 2
        scheduler.submit(_of("few", arrived=NOW + second + 0.9))


def test_it_is_throttled_as_long_as_a_row_of_another_runs() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=2))
    few, many = _of("few"), _of("many", 40, arrived=NOW + 60)
    scheduler.submit(few)
    assert scheduler.admit(NOW) == few
    scheduler.submit(many)
    for _ in range(4):
        scheduler.admit(NOW + 60)
    assert scheduler.running_slots == 3


def test_a_few_short_rows_give_way_to_nobody() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=1))
    rows = [*_of("some", 6), *_of("few")]
    scheduler.submit(rows)
    assert set(scheduler.admit(NOW)) == set(rows)


def test_bulk_rows_find_room_beside_a_tenant_that_is_throttled() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=2, bulk_rows=2))
    bulk = [_row(priority=Priority.BULK) for _ in range(9)]
    scheduler.submit([*_of("many", 40), *_of("few"), *bulk])
    started = [row for _ in range(8) for row in scheduler.admit(NOW)]
    assert [row for row in started if row.options.priority is Priority.BULK] == bulk[:2]
    assert len(started) == 5


def test_a_tenant_that_is_throttled_rests_while_rows_of_others_run() -> None:
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=4))
    many, few = _of("many", 20), _of("few")
    scheduler.submit([*many, *few])
    first = scheduler.admit(NOW)
    assert first == [*few, many[0]]
    scheduler.note_encoded(first, NOW, seconds=0.01)
    assert scheduler.admit(NOW + 0.01) == []
    assert scheduler.admit(NOW + 0.09) == [many[1]]
    scheduler.note_encoded([many[1]], NOW + 0.09, seconds=0.01)
    scheduler.retire(few[0])
    assert scheduler.admit(NOW + 0.09) == [many[2]], "nobody waits for it"


def test_who_came_lately_with_many_rows_is_throttled_too() -> None:
    """Callers who leave at once never have many rows at a time."""
    scheduler = Scheduler(Limits(max_rows=8, tenant_rows=1))
    for _ in range(20):
        [row] = _of("many")
        scheduler.submit([row])
        assert scheduler.admit(NOW) == [row]
        scheduler.retire(row)
    many, few = _of("many", 2), _of("few")
    scheduler.submit([*many, *few])
    assert scheduler.admit(NOW) == [*few, many[0]]
    assert scheduler.admit(NOW) == []


def test_tenants_that_ask_for_about_as_much_give_way_to_nobody() -> None:
    scheduler = Scheduler(Limits(max_rows=64, tenant_rows=2))
    rows = [*_of("one", 12), *_of("another", 8)]
    scheduler.submit(rows)
    assert set(scheduler.admit(NOW)) == set(rows)


def test_a_row_wider_than_a_tenant_s_share_runs_alone_of_its_kind() -> None:
    scheduler = Scheduler(Limits(max_rows=16, tenant_rows=2))
    beams, few = _of("many", 8, width=4), _of("few")
    scheduler.submit([*beams, *few])
    assert scheduler.admit(NOW) == [*few, beams[0]]
    assert scheduler.admit(NOW) == []
    scheduler.retire(beams[0])
    assert scheduler.admit(NOW) == [beams[1]]


def test_a_tenant_whose_rows_are_all_dropped_is_forgotten() -> None:
    scheduler = Scheduler(Limits(max_rows=2))
    rows = _of("gone", 5)
    scheduler.submit(rows)
    started = scheduler.admit(NOW)
    assert scheduler.drop_waiting(lambda _: True) == rows[2:]
    for row in started:
        scheduler.retire(row)
    assert scheduler.waiting_rows == 0
    assert scheduler.admit(NOW) == []
