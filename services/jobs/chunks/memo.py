"""Answers to texts that come again in another chunk of their job; best effort, over Redis."""

import json
from collections.abc import Mapping, Sequence

import structlog

from services.inference.errors import ServiceUnavailableError
from services.jobs.queue.board import Board
from services.jobs.settings import JobSettings
from services.jobs.store import layout
from services.jobs.store.archive import JobRun
from services.jobs.store.objects import Store
from services.jobs.store.records import Status
from services.jobs.store.results import Outcome

logger = structlog.get_logger(__name__)
_SECONDS = 86400.0


class Memo:
    """What is not remembered is inferred again: nothing depends on it."""

    def __init__(self, board: Board, store: Store, settings: JobSettings) -> None:
        self._board = board
        self._store = store
        self._limit = settings.memo_bytes

    def recall(self, run: JobRun, texts: Sequence[str]) -> dict[str, Outcome]:
        """The answers to texts of the job, by `text_id`."""
        if not self._limit:
            return {}
        try:
            found = self._board.recall(run.record.id, list(texts))
        except ServiceUnavailableError as error:
            logger.warning("no answers could be recalled", error=str(error))
            return {}
        pairs = zip(texts, found, strict=True)
        return {text: Outcome(Status.SUCCEEDED, json.loads(a)) for text, a in pairs if a}

    def memorize(self, run: JobRun, chunk: int, outcomes: Mapping[str, Outcome]) -> None:
        """Keeps the answers to those texts of the chunk that come again."""
        key = layout.recurring(run.record.id, run.record.upload, chunk)
        try:
            data = self._store.get(key) if self._limit else None
            if data is None:
                return
            answers = {
                text: json.dumps(outcomes[text].answer, ensure_ascii=False)
                for text in json.loads(data)
                if text in outcomes and outcomes[text].status is Status.SUCCEEDED
            }
            self._board.memorize(run.record.id, answers, self._limit, _SECONDS)
        except ServiceUnavailableError as error:
            logger.warning("no answers could be kept", error=str(error))
