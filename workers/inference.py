"""Inference for tasks, which block, on an event loop in a thread of its own."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import aclosing
from queue import Empty, SimpleQueue

import structlog

from services.inference.errors import ServiceError, TritonUnavailableError
from services.inference.service import InferenceBackend
from services.inference.settings import InferenceSettings
from services.inference.tasks.translation.translator import TranslationRequest
from services.inference.triton.watch import Watch
from services.jobs.chunks.inference import Cancelled
from services.jobs.chunks.performer import Performer
from services.jobs.store.items import Item
from services.jobs.store.results import Outcome
from services.jobs.tasks import Task
from workers.settings import WorkerSettings

logger = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
# An event loop ends every attempt at its time; one that is so late does not run any more.
_LOOP_SECONDS = 60.0
# A worker has time to find out that a model is gone, and every worker asks.
_LEAST_WATCH_INTERVAL = 2.0

# What the event loop hands to the thread of a task; None is the end.
_Outcomes = SimpleQueue[tuple[int, Outcome] | None]


class TritonInference:
    """To be built after the fork of a worker: gRPC does not survive one (grpc#13464)."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._stall = settings.process.worker_stall
        inference = settings.inference.model_copy(
            update={
                "max_segments_in_flight": settings.jobs.bulk_rows,
                # The chunk is given back instead, so that other jobs go first.
                "triton_patience": 0.0,
                "health_interval": max(settings.inference.health_interval, _LEAST_WATCH_INTERVAL),
            }
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="inference", daemon=True).start()
        backend, self._watch, self._watching = asyncio.run_coroutine_threadsafe(
            _build(inference), self._loop
        ).result()
        self._catalogue = backend.catalogue
        self._performer = Performer(
            self._catalogue,
            backend.detector,
            backend.translator,
            backend.summarizer,
            backend.classifier,
            backend.answerer,
        )

    def _run(self) -> None:
        """The event loop, without which the process can only wait."""
        try:
            self._loop.run_forever()
        finally:
            _die("the event loop of inference has ended")

    def is_ready(self, task: Task, *, afresh: bool = False) -> bool:
        """See `services.jobs.chunks.inference.Inference`."""
        if afresh:
            asyncio.run_coroutine_threadsafe(self._watch.look(), self._loop).result()
        try:
            if isinstance(task, TranslationRequest):
                self._catalogue.check_legs(
                    task.source, task.target, task.model, forbid_pivot=task.forbid_pivot
                )
            else:
                self._catalogue.pick(task.kind, task.model)
        except ServiceError:
            return False
        return True

    def perform(
        self,
        task: Task,
        items: Sequence[Item],
        seconds: float,
        on_halt: Callable[[Callable[[], object] | None], None],
    ) -> Iterator[tuple[int, Outcome]]:
        """See `services.jobs.chunks.inference.Inference`."""
        outcomes: _Outcomes = SimpleQueue()
        future = asyncio.run_coroutine_threadsafe(
            self._perform(task, items, seconds, outcomes), self._loop
        )
        future.add_done_callback(lambda _: outcomes.put(None))
        on_halt(future.cancel)
        try:
            yield from self._received(task, seconds, outcomes)
            future.result()
        except CancelledError:
            raise Cancelled from None
        finally:
            on_halt(None)
            future.cancel()

    async def _perform(
        self, task: Task, items: Sequence[Item], seconds: float, outcomes: _Outcomes
    ) -> None:
        deadline = self._loop.time() + seconds
        async with aclosing(self._performer.perform(task, items, deadline)) as performed:
            async for outcome in performed:
                outcomes.put(outcome)

    def _received(
        self, task: Task, seconds: float, outcomes: _Outcomes
    ) -> Iterator[tuple[int, Outcome]]:
        """The outcomes up to the end; TritonUnavailableError when no model answers for too long."""
        answered = began = time.monotonic()
        while True:
            try:
                outcome = outcomes.get(timeout=_LOOK_SECONDS)
            except Empty:
                pass
            else:
                if outcome is None:
                    return
                yield outcome
            if time.monotonic() - began > seconds + _LOOP_SECONDS:
                _die("the event loop of inference hangs")
            if self.is_ready(task):
                answered = time.monotonic()
            elif time.monotonic() - answered > self._stall:
                raise TritonUnavailableError(f"no model has answered for {self._stall:g} s")


async def _build(
    settings: InferenceSettings,
) -> tuple[InferenceBackend, Watch, asyncio.Task[None]]:
    backend = InferenceBackend(settings)
    watch = backend.watch(_nothing)
    return backend, watch, asyncio.create_task(watch.run(), name="watch")


def _die(why: str) -> None:
    """Ends this process at once: Celery starts another one, and the chunk's lease runs out."""
    logger.critical(why)
    os._exit(1)


async def _nothing() -> None:
    """A worker tells nobody what it sees."""
