"""Takes on a job: its input and record are durable before anybody is told."""

import contextlib
import hashlib
import json
import secrets
from base64 import b32encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from services.inference.tracing import traceparent_of
from services.jobs.errors import InvalidInputError, RequestIdConflictError, StoreUnavailableError
from services.jobs.settings import JobSettings
from services.jobs.store import layout
from services.jobs.store.archive import Archive
from services.jobs.store.items import Item, chunked, encode_items
from services.jobs.store.objects import Store
from services.jobs.store.records import JOBS, JobRecord, QueuePriority
from services.jobs.store.recurrence import Recurrence
from services.jobs.tasks import Task, stored_form

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a caller asks for, checked; times are seconds since the epoch."""

    tenant: str
    task: Task
    retention: float
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: QueuePriority = QueuePriority.NORMAL
    deadline: float | None = None


class Creator:
    """Writes the chunks of an input as they are read, then the record that makes them a job."""

    def __init__(self, archive: Archive, settings: JobSettings) -> None:
        self._archive = archive
        self._store = archive.store
        self._settings = settings

    def create(self, order: NewJob, items: Iterable[Item]) -> JobRecord:
        """The job; the one that there is when a call with this request id has made it already.

        The id of a job follows from tenant and request id, so that of many calls at once exactly
        one creates the record.  Raises InvalidInputError, InvalidOptionError (its deadline has
        passed), RequestIdConflictError or StoreUnavailableError; then nothing of the job remains.
        """
        self._archive.check_deadline(order.deadline, "spec.deadline")
        job, upload = job_id_of(order), secrets.token_hex(8)
        # A mark of an earlier upload may be so old that the reconciler would remove this one.
        self._archive.activate(job, order.tenant, afresh=True)
        try:
            record = self._upload(order, job, upload, items)
            return self._commit(record)
        except BaseException:
            # What is left when the store is away now, the reconciler removes.
            with contextlib.suppress(StoreUnavailableError):
                self._discard(job, upload)
            raise

    def _upload(self, order: NewJob, job: str, upload: str, items: Iterable[Item]) -> JobRecord:
        digest = hashlib.sha256(_digestible(order))
        sizes: list[int] = []
        settings = self._settings
        with Recurrence() as recurrence:
            for chunk in chunked(items, settings.chunk_items, settings.chunk_characters):
                data = encode_items(chunk)
                digest.update(data)
                self._store.create(layout.input_chunk(job, upload, len(sizes)), data)
                recurrence.add(len(sizes), chunk)
                sizes.append(len(chunk))
            for number, texts in recurrence.recurring():
                data = json.dumps(texts).encode()
                self._store.create(layout.recurring(job, upload, number), data)
        if not sizes:
            raise InvalidInputError("the input is empty: it needs at least one line")
        return JobRecord(
            id=job,
            tenant=order.tenant,
            task=order.task,
            upload=upload,
            digest=digest.hexdigest(),
            sizes=sizes,
            created=self._archive.clock.now(),
            retention=order.retention,
            deadline=order.deadline,
            request_id=order.request_id,
            labels=order.labels,
            priority=order.priority,
            traceparent=traceparent_of(),
        )

    def _commit(self, record: JobRecord) -> JobRecord:
        # Both before the record, so that no accepted job is without them.
        index = layout.index(record.tenant, record.created, record.id)
        self._store.create(index, b"")
        self._archive.activate(record.id, record.tenant)
        is_ours = self._store.create(layout.record(record.id), JOBS.encode(record))
        # A refused call with the same id may have removed the mark.
        self._archive.activate(record.id, record.tenant)
        if is_ours:
            if record.request_id:
                self._remove_others(record)
            return record
        existing = self._archive.record(record.id)
        assert existing is not None, "it was there a moment ago, and no job is deleted that runs"
        if existing.upload == record.upload:  # the store had it already when it was asked again
            return existing
        # Calls of the same millisecond have the same entry.
        if index != layout.index(existing.tenant, existing.created, existing.id):
            self._store.delete(index)
        self._store.delete_folder(layout.upload_folder(record.id, record.upload))
        if existing.digest != record.digest:
            raise RequestIdConflictError(
                f"request_id {record.request_id!r} was used for a job with other content: use a"
                " new request_id for a new job",
                field="spec.request_id",
            )
        return existing

    def _remove_others(self, record: JobRecord) -> None:
        """What uploads with the same id left that never ended; nothing will ever read it.

        One that is on its way loses its parts without harm: the record is not its own.
        """
        try:
            remove_other_uploads(self._store, record)
        except StoreUnavailableError as error:
            logger.warning("parts of other uploads are kept until the job ends", error=str(error))

    def _discard(self, job: str, upload: str) -> None:
        existing = self._archive.record(job)
        if existing is None or existing.upload != upload:
            self._store.delete_folder(layout.upload_folder(job, upload))
        if existing is None and not any(self._store.keys(layout.job_folder(job))):
            # While another upload has left something, the mark is how the reconciler finds it.  A
            # call beside this one with the same id marks the job again, once it has its record.
            self._store.delete(layout.active(job))


def remove_other_uploads(store: Store, record: JobRecord) -> None:
    """Removes the parts of every upload of a job but the one that made it."""
    ours = layout.upload_folder(record.id, record.upload)
    for key in list(store.keys(layout.job_folder(record.id))):
        if layout.is_input(key) and not key.startswith(ours):
            store.delete(key)


def job_id_of(order: NewJob) -> str:
    """The job of a tenant's request id, always the same; a new one where there is no such id."""
    if not order.request_id:
        raw = secrets.token_bytes(10)
    else:
        key = repr((order.tenant, order.request_id)).encode(errors="surrogatepass")
        raw = hashlib.blake2b(key, digest_size=10).digest()
    return b32encode(raw).decode().lower()


def _digestible(order: NewJob) -> bytes:
    """What, with the lines, makes two calls the same."""
    rest = [stored_form(order.task), dict(order.labels), int(order.priority), order.retention]
    return json.dumps(rest, sort_keys=True).encode()
