"""Takes on jobs: from the bytes of a call, or of a URI, to lines in the store."""

from collections.abc import Iterable
from contextlib import closing
from functools import partial

from services.foundation.fibers import Fibers
from services.gateway.admission.quotas import Quotas
from services.gateway.api.jobs.uploads import Upload, in_turns
from services.gateway.api.settings import TextSettings
from services.jobs.intake import InputForm, IntakeLimits, open_uri, read_items
from services.jobs.lifecycle.creation import NewJob, job_id_of
from services.jobs.service import JobBackend
from services.jobs.settings import JobSettings
from services.jobs.store.items import Item
from services.jobs.store.records import JobRecord

_THREADS = 8
_CLOSING_SECONDS = 5.0


class JobCreation:
    """Uploads share a few threads, and hold none while they wait for their callers."""

    def __init__(
        self, jobs: JobBackend, quotas: Quotas, settings: JobSettings, texts: TextSettings
    ) -> None:
        self._jobs = jobs
        self._quotas = quotas
        self._uris = settings.job_input_uris
        self._limits = IntakeLimits(
            max_items=settings.job_max_items,
            max_text_characters=texts.max_text_characters,
            max_line_bytes=settings.job_max_line_bytes,
            max_input_bytes=settings.job_max_input_bytes,
            max_parquet_memory=settings.job_parquet_memory,
        )
        self._fibers = Fibers("upload", _THREADS)

    async def create(self, order: NewJob, form: InputForm, upload: Upload) -> JobRecord:
        """The record of the job, which is durable; nothing of it remains when this fails."""
        return await self._fibers.run(partial(self._read, order, form, upload))

    async def close(self) -> None:
        """Waits for a moment until uploads that were broken off are removed."""
        await self._fibers.close(_CLOSING_SECONDS)

    def _read(self, order: NewJob, form: InputForm, upload: Upload) -> JobRecord:
        if not form.uri:
            with closing(read_items(upload.chunks(), form, self._limits)) as items:
                return self._write(order, items)
        with (
            open_uri(form.uri, self._uris) as chunks,
            closing(read_items(in_turns(chunks), form, self._limits)) as items,
        ):
            return self._write(order, items)

    def _write(self, order: NewJob, items: Iterable[Item]) -> JobRecord:
        tenant = order.tenant
        within = self._quotas.within_queue(
            tenant,
            items,
            # A call that comes again, with the id of a request, makes no other job.
            lambda: self._jobs.operations.queued_lines(tenant, but=job_id_of(order)),
        )
        return self._jobs.creator.create(order, within)
