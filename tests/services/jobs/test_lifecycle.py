"""Jobs from creation to deletion, with a pretended model."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from jobs_bench import Bench, KilledError

from services.jobs.errors import (
    InvalidInputError,
    JobStateError,
    RequestIdConflictError,
    UnknownJobError,
)
from services.jobs.observer import ChunkOutcome
from services.jobs.store import layout
from services.jobs.store.items import Item
from services.jobs.store.records import QueuePriority, State


def texts(count: int, prefix: str = "text") -> list[str]:
    return [f"{prefix} {number}" for number in range(count)]


def test_a_job_gives_one_result_a_line_in_order(bench: Bench) -> None:
    job = bench.submit(texts(10)).id
    assert bench.progress(job).state is State.QUEUED
    bench.pump()
    lines = bench.check(job, 10)
    assert [line["text"] for line in lines] == [f"TEXT {n}" for n in range(10)]
    assert [line["custom_id"] for line in lines] == [f"id-{n}" for n in range(10)]
    assert bench.progress(job).state is State.SUCCEEDED
    assert list(bench.archive.active()) == []
    load = bench.board.load()
    assert (load.pending, load.out, load.jobs, load.tenants) == (0, 0, 0, 0)
    record = bench.record
    assert record.outcomes == {ChunkOutcome.DONE: 3} and record.statuses == {"succeeded": 10}
    assert (record.hits, record.misses, record.ended) == (0, 10, ["SUCCEEDED"])


def test_an_input_without_lines_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(InvalidInputError):
        bench.submit([])
    assert list(bench.archive.store.keys("")) == []


def test_an_input_that_breaks_off_leaves_nothing(bench: Bench) -> None:
    def broken() -> object:
        yield from (f"text {n}" for n in range(9))
        raise InvalidInputError("line 10 is wrong")

    with pytest.raises(InvalidInputError):
        bench.submit(broken())  # type: ignore[arg-type]
    assert list(bench.archive.store.keys("")) == []


def test_equal_texts_are_inferred_once_in_all_chunks(bench: Bench) -> None:
    job = bench.submit(["same", "other", "same", "x", "y", "same", "other", "z"] * 3).id
    bench.pump()
    lines = bench.check(job, 24)
    assert lines[5]["text"] == "SAME"
    assert sorted(bench.inference.seen) == ["other", "same", "x", "y", "z"]


def test_the_same_request_id_makes_one_job(bench: Bench) -> None:
    def submit(_: int) -> str:
        return bench.submit(texts(9), request_id="once").id

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(submit, range(50)))
    assert len(ids) == 1
    job = ids.pop()
    bench.settle(job)
    bench.check(job, 9)
    folder = layout.job_folder(job)
    uploads = {key.split("/")[2] for key in bench.archive.store.keys(folder) if "input-" in key}
    assert len(uploads) == 1
    assert len(list(bench.archive.store.keys("index/"))) == 1


def test_the_same_request_id_with_other_content_is_refused(bench: Bench) -> None:
    job = bench.submit(texts(3), request_id="once").id
    for other in (texts(4), texts(3, "other")):
        with pytest.raises(RequestIdConflictError):
            bench.submit(other, request_id="once")
    with pytest.raises(RequestIdConflictError):
        bench.submit(texts(3), request_id="once", priority=QueuePriority.HIGH)
    assert bench.submit(texts(3), request_id="once", tenant="another").id != job
    bench.settle(job)
    bench.check(job, 3)


def test_a_lost_message_is_sent_again(bench: Bench) -> None:
    bench.queue.lossy = True
    job = bench.submit(texts(10)).id
    bench.pump()
    assert not bench.queue.chunks
    bench.queue.lossy = False
    bench.settle(job)
    bench.check(job, 10)


def test_an_empty_redis_is_filled_from_the_store(bench: Bench) -> None:
    job = bench.submit(texts(30)).id
    bench.pump(most=2)
    bench.board._redis.flushall()
    bench.queue.chunks.clear()
    bench.settle(job)
    bench.check(job, 30)
    assert len(bench.inference.seen) == 30


def test_a_text_that_kills_its_worker_fails_alone(bench: Bench) -> None:
    bench.inference.kills = {"text 5"}
    job = bench.submit(texts(12)).id
    bench.settle(job, patience=90)
    lines = bench.check(job, 12)
    assert [line["index"] for line in lines if line["status"] == "failed"] == [5]
    assert lines[5]["error"]["reason"] == "MODEL_FAILED"
    record = bench.record
    assert record.halves and record.lost and record.outcomes[ChunkOutcome.FAILED]
    assert record.statuses == {"succeeded": 11, "failed": 1}
    assert bench.progress(job).state is State.PARTIALLY_SUCCEEDED


def test_a_text_that_breaks_triton_fails_alone(bench: Bench) -> None:
    bench.inference.breaks = {"text 3"}
    job = bench.submit(texts(8)).id
    bench.settle(job)
    lines = bench.check(job, 8)
    assert [line["index"] for line in lines if line["status"] == "failed"] == [3]


def test_a_job_without_a_success_has_failed(bench: Bench) -> None:
    bench.inference.breaks = set(texts(3))
    job = bench.submit(texts(3)).id
    assert bench.settle(job).state is State.FAILED
    bench.check(job, 3)


def test_a_job_waits_for_its_model(bench: Bench) -> None:
    bench.inference.ready = False
    job = bench.submit(texts(4)).id
    bench.pump(most=1)
    assert not bench.progress(job).ended
    assert not bench.inference.seen
    bench.inference.ready = True
    assert bench.settle(job).state is State.SUCCEEDED


def test_cancelling_keeps_what_is_done(bench: Bench) -> None:
    job = bench.submit(texts(20)).id
    bench.pump(most=2)
    bench.operations.cancel("default", job)
    progress = bench.settle(job)
    lines = bench.check(job, 20)
    assert progress.state is State.CANCELLED
    assert progress.counts.succeeded == 8
    assert lines[19]["error"]["reason"] == "JOB_CANCELLED"
    assert bench.operations.cancel("default", job).state is State.CANCELLED


def test_a_chunk_at_work_ends_when_its_job_is_cancelled(bench: Bench) -> None:
    bench.inference.gate = threading.Event()
    job = bench.submit(texts(4)).id
    worker = threading.Thread(target=bench.pump)
    worker.start()
    assert bench.inference.started.wait(10)
    bench.operations.cancel("default", job)
    worker.join(10)
    assert not worker.is_alive()
    bench.settle(job)
    bench.check(job, 4)
    assert bench.progress(job).counts.cancelled == 4


def test_cancelling_after_the_end_changes_nothing(bench: Bench) -> None:
    job = bench.submit(texts(5)).id
    bench.pump()
    assert bench.operations.cancel("default", job).state is State.SUCCEEDED
    assert not bench.progress(job).cancel_requested


def test_a_job_expires(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = bench.board.now() + 60.0
    job = bench.submit(texts(12), deadline=deadline).id
    bench.pump(most=1)
    monkeypatch.setattr(bench.archive.clock, "now", lambda: deadline + 1.0)
    progress = bench.settle(job)
    assert progress.state is State.EXPIRED
    assert (progress.counts.succeeded, progress.counts.expired) == (4, 8)
    bench.check(job, 12)


def test_resuming_runs_only_what_has_not_succeeded(bench: Bench) -> None:
    bench.inference.breaks = {"text 5"}
    job = bench.submit(texts(16)).id
    bench.settle(job)
    bench.check(job, 16)
    bench.inference.breaks.clear()
    bench.inference.seen.clear()
    again = bench.operations.resume("default", job, None)
    assert list(again.run.chunks) == [1]
    with pytest.raises(JobStateError):
        bench.operations.resume("default", job, None)
    progress = bench.settle(job)
    lines = bench.check(job, 16)
    assert progress.state is State.SUCCEEDED
    assert bench.inference.seen == ["text 5"]
    assert lines[5]["text"] == "TEXT 5"
    with pytest.raises(JobStateError):
        bench.operations.resume("default", job, None)


def test_a_cancelled_job_can_be_resumed_and_cancelled_again(bench: Bench) -> None:
    job = bench.submit(texts(16)).id
    bench.pump(most=1)
    bench.operations.cancel("default", job)
    bench.settle(job)
    bench.operations.resume("default", job, None)
    bench.reconciler.reconcile()
    bench.pump(most=1)
    bench.operations.cancel("default", job)
    progress = bench.settle(job)
    assert progress.state is State.CANCELLED
    assert (progress.counts.succeeded, progress.counts.cancelled) == (8, 8)
    bench.check(job, 16)
    bench.operations.resume("default", job, None)
    assert bench.settle(job).state is State.SUCCEEDED
    bench.check(job, 16)


def test_a_job_is_deleted_with_all_that_is_its_own(bench: Bench) -> None:
    job = bench.submit(texts(5)).id
    with pytest.raises(JobStateError):
        bench.operations.delete("default", job)
    bench.pump()
    with pytest.raises(UnknownJobError):
        bench.operations.delete("another", job)
    bench.operations.delete("default", job)
    with pytest.raises(UnknownJobError):
        bench.operations.get("default", job)
    assert [key for key in bench.archive.store.keys("") if not key.startswith("expiring/")] == []


def test_a_job_goes_when_its_time_is_over(bench: Bench) -> None:
    job = bench.submit(texts(5), retention=0.01).id
    bench.pump()
    time.sleep(0.02)
    bench.reconciler.reconcile()
    assert bench.archive.record(job) is None
    assert list(bench.archive.store.keys("")) == []


def test_jobs_are_listed_newest_first_in_pages(bench: Bench) -> None:
    ids = []
    for _ in range(5):
        ids.append(bench.submit(texts(1)).id)
        time.sleep(0.002)
    bench.submit(texts(1), tenant="another")
    page, after = bench.operations.page("default", "", 3, lambda _: True)
    assert [each.run.record.id for each in page] == ids[:1:-1]
    page, after = bench.operations.page("default", after, 3, lambda _: True)
    assert [each.run.record.id for each in page] == ids[1::-1]
    assert after == ""


def test_a_small_tenant_does_not_wait_for_a_large_one(bench: Bench) -> None:
    large = bench.submit(texts(400), tenant="large").id
    bench.pump(most=3)
    small = bench.submit(texts(8), tenant="small").id
    bench.pump(most=2 * bench.settings.chunk_window)
    assert bench.progress(small).ended
    assert not bench.progress(large).ended


def test_a_job_without_a_model_does_not_hold_up_others(
    make: Callable[..., Bench],
) -> None:
    bench = make(job_pause=3600.0)
    bench.inference.ready = False
    stuck = bench.submit(texts(40), tenant="stuck").id
    bench.pump(most=1)
    bench.inference.ready = True
    others = [bench.submit(texts(8), tenant=tenant).id for tenant in ("stuck", "other")]
    bench.pump()
    assert all(bench.progress(job).ended for job in others)
    assert bench.progress(stuck).counts.done == 0
    bench.operations.cancel("stuck", stuck)
    assert bench.settle(stuck).state is State.CANCELLED


def test_a_tenant_whose_jobs_pause_saves_up_no_turns(make: Callable[..., Bench]) -> None:
    bench = make(job_pause=3600.0)
    paused = bench.submit(texts(100), tenant="paused").id
    bench.board.pause(paused, 600.0)
    busy = bench.submit(texts(200, "b"), tenant="busy").id
    bench.pump(most=20)
    assert bench.progress(busy).counts.done == 80
    bench.board._redis.delete(f"seqway:paused:{paused}")
    bench.pump(most=20)
    done = [bench.progress(job).counts.done for job in (paused, busy)]
    assert sum(done) == 160
    assert 24 <= done[0] <= 56


def test_two_reconcilers_and_two_feeders_dispatch_nothing_twice(
    make: Callable[..., Bench],
) -> None:
    bench = make(chunk_lease=30.0)  # no chunk is lost while they look
    job = bench.submit(texts(200)).id
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bench.reconciler.reconcile(), range(8)))
    assert len(bench.queue.chunks) == bench.settings.chunk_window
    assert len(set(bench.queue.chunks)) == bench.settings.chunk_window
    bench.settle(job)
    bench.check(job, 200)
    assert len(bench.inference.seen) == 200


def test_a_worker_that_slept_past_its_lease_commits_nothing(bench: Bench) -> None:
    gate = bench.inference.gate = threading.Event()
    job = bench.submit(texts(4)).id
    bench.feeder.feed()
    ticket = bench.queue.chunks.popleft()
    heart = bench.board.renew
    bench.board.renew = lambda *_: True  # type: ignore[method-assign]
    sleeper = threading.Thread(target=bench.runner.run, args=(ticket,))
    sleeper.start()
    assert bench.inference.started.wait(10)
    time.sleep(0.6)  # its heartbeats are lost for longer than the lease
    assert bench.board.sweep(60.0) == [ticket]
    assert bench.board.acquire(ticket, "another", 60.0)
    bench.board.renew = heart  # type: ignore[method-assign]
    sleeper.join(10)
    assert not bench.archive.done(bench.run(job))
    assert bench.record.outcomes == {ChunkOutcome.LOST: 1}
    gate.set()
    bench.board.release(ticket, "another")
    bench.settle(job)
    bench.check(job, 4)


def test_a_crash_between_result_and_acknowledgement_repeats_nothing(bench: Bench) -> None:
    job = bench.submit(texts(4)).id
    bench.feeder.feed()
    ticket = bench.queue.chunks[0]

    def killed(*_: object) -> bool:
        raise KilledError

    release, bench.board.release = bench.board.release, killed  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        bench.runner.run(ticket)
    bench.board.release = release  # type: ignore[method-assign]
    bench.settle(job)
    bench.check(job, 4)
    assert len(bench.inference.seen) == 4


def test_a_leftover_upload_is_removed(bench: Bench) -> None:
    order = bench.submit(texts(1))
    bench.archive.activate("leftover", "default")
    key = layout.input_chunk("leftover", "x", 0)
    bench.archive.store.create(key, b"")
    bench.reconciler._settings = bench.settings.model_copy(update={"job_upload_grace": 0.0})
    bench.reconciler.reconcile()
    assert not bench.archive.store.exists(key)
    assert bench.archive.record(order.id) is not None


def test_items_survive_the_store(bench: Bench) -> None:
    strange = ["a\u2028b", "\x00", "é\n\r\t", "🙂" * 3, " "]
    record = bench.submit(strange)
    items = bench.archive.items(bench.run(record.id), 0)
    assert items == [Item(n, strange[n], f"id-{n}") for n in range(4)]


def test_texts_are_not_blamed_for_a_triton_that_is_away(bench: Bench) -> None:
    """It looks ready and refuses everything: one attempt is counted, and then it is waited for."""
    record = bench.submit(texts(4))
    bench.inference.breaks = set(texts(4))
    bench.inference.away = True
    bench.pump(1)  # gives the chunk back when its patience is over
    attempts = list(bench.archive.store.keys(bench.run(record.id).layout.attempts(0)))
    assert len(attempts) == 1
    bench.inference.breaks, bench.inference.away = set(), False
    assert bench.settle(record.id).state is State.SUCCEEDED
