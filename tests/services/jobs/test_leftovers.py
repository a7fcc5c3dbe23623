"""What uploads leave that were killed, and what one broken job costs others."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jobs_bench import TASK, Bench, KilledError

from services.jobs.chunks.heartbeat import Heartbeat
from services.jobs.errors import InvalidInputError, StoreUnavailableError
from services.jobs.lifecycle.creation import Creator, NewJob, job_id_of
from services.jobs.queue.board import Ticket
from services.jobs.queue.lease import Lease
from services.jobs.store import layout
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.objects import Store, open_store
from services.jobs.store.records import ACTIVES, ActiveRecord

PATIENCE = 10.0


class PanicException(BaseException):
    """As Rust extensions raise it."""


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def killed_upload(bench: Bench, request_id: str) -> str:
    """What a gateway leaves that is killed while it reads an upload; the job."""

    def killed() -> Iterator[str]:
        yield from texts(9)
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Creator, "_discard", lambda *_: None)
        with pytest.raises(KilledError):
            bench.submit(killed(), request_id=request_id)
    return job_id_of(NewJob("default", TASK, 3600.0, request_id))


def uploads(bench: Bench, job: str) -> set[str]:
    keys = bench.archive.store.keys(layout.job_folder(job))
    return {key.split("/")[2] for key in keys if layout.is_input(key)}


def test_an_upload_that_comes_again_removes_what_was_left(bench: Bench) -> None:
    job = killed_upload(bench, "once")
    killed_upload(bench, "once")
    assert len(uploads(bench, job)) == 2
    record = bench.submit(texts(9), request_id="once")
    assert uploads(bench, job) == {f"input-{record.upload}"}
    bench.settle(record.id)
    bench.check(record.id, 9)


def test_an_upload_that_was_killed_beside_its_job_is_removed_with_its_end(bench: Bench) -> None:
    job = bench.submit(texts(9), request_id="once").id
    killed_upload(bench, "once")
    assert len(uploads(bench, job)) == 2
    bench.settle(job)
    bench.check(job, 9)
    assert len(uploads(bench, job)) == 1


def test_an_upload_that_never_comes_back_is_removed(make: Callable[..., Bench]) -> None:
    """Also when a call with its id was refused meanwhile, which removes its own parts alone."""
    bench = make(job_upload_grace=0.2)
    job = killed_upload(bench, "once")
    with pytest.raises(InvalidInputError):
        bench.submit([], request_id="once")
    assert uploads(bench, job)
    deadline = time.monotonic() + PATIENCE
    while list(bench.archive.store.keys("")):
        assert time.monotonic() < deadline
        bench.reconciler.reconcile()
        time.sleep(0.02)


def test_an_upload_that_comes_late_has_its_own_time(bench: Bench) -> None:
    """The mark of the one that was killed is older than the grace."""
    job = killed_upload(bench, "once")
    grace = bench.settings.job_upload_grace
    old = ActiveRecord("default", time.time() - grace - 60)
    bench.archive.store.replace(layout.active(job), ACTIVES.encode(old))

    def slow() -> Iterator[str]:
        for number, text in enumerate(texts(9)):
            if number == 5:
                bench.reconciler.reconcile()
            yield text

    record = bench.submit(slow(), request_id="once")
    bench.settle(record.id)
    bench.check(record.id, 9)


def test_a_record_that_the_store_had_already_keeps_its_lines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store's client asks again when an answer is lost, and hears that the object is there."""
    create = Store.create

    def create_twice(store: Store, key: str, data: bytes) -> bool:
        create(store, key, data)
        return create(store, key, data)

    monkeypatch.setattr(Store, "create", create_twice)
    record = bench.submit(texts(9), request_id="once")
    monkeypatch.undo()
    bench.settle(record.id)
    bench.check(record.id, 9)


def test_a_job_that_cannot_be_read_leaves_others_their_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [bench.submit(texts(3)).id for _ in range(2)]
    job = bench.submit(texts(3)).id
    bench.board._redis.flushall()
    current = Archive.current
    errors = dict(zip(broken, (ValueError("no JSON"), PanicException()), strict=True))

    def read(archive: Archive, one: str) -> JobRun | None:
        if one in errors:
            raise errors[one]
        return current(archive, one)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "current", read)
        deadline = time.monotonic() + PATIENCE
        while not bench.queue.chunks:
            assert time.monotonic() < deadline
            bench.reconciler.reconcile()
    for one in (job, *broken):
        bench.settle(one)
        bench.check(one, 3)


def test_a_heartbeat_outlives_what_is_no_exception(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.run(bench.submit(texts(3)).id)
    looks = []

    def fail(_: JobRun) -> bool:
        looks.append(1)
        raise PanicException

    monkeypatch.setattr(bench.archive, "is_cancelled", fail)
    lease = Lease(bench.board, Ticket(run.record.id, 1, 0), 0.1)
    with Heartbeat(lease, bench.archive, run):
        deadline = time.monotonic() + PATIENCE
        while len(looks) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_store_that_panics_pauses_a_job_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors run out in a worker: the chunk is given back, and done when there are some."""
    job = bench.submit(texts(9)).id
    bench.feeder.feed()

    def panic(*_: object, **__: object) -> None:
        raise PanicException

    with monkeypatch.context() as patch:
        patch.setattr("services.jobs.store.objects.obstore.get", panic)
        ticket = bench.queue.chunks.popleft()
        with pytest.raises(StoreUnavailableError):
            bench.runner.run(ticket)
        with pytest.raises(StoreUnavailableError):
            bench.archive.record(job)
    bench.settle(job)
    bench.check(job, 9)


def test_an_object_is_replaced_whole(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/store")
    for data in (b"one", b"another", b""):
        store.replace("a/b", data)
        assert store.get("a/b") == data
    assert not store.create("a/b", b"late")
