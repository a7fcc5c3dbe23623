"""Which requests are taken: those that can be run, and for which there is room."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.contract.events import Event, RefusalReason, Refused, TooLong
from engine.contract.options import InvalidOptionsError
from engine.runtime.planner import Planner
from engine.runtime.request import Request, Row


@dataclass
class Intake:
    """Plans requests. At most `most_rows` rows run and wait at once; `refused` counts the others.

    It holds nothing of the engine that it works for, whose memory goes when that goes.
    """

    planner: Planner
    most_rows: int
    refused: int = 0
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def take(
        self, request: Request, count: Callable[[], int], run: Callable[[list[Row]], None]
    ) -> None:
        """Has a request's rows run, but for those that are too long; or refuses all of it.

        `count` says how many run and wait, and `run` takes more; one request at a time.
        """
        try:
            planned = self.planner.plan(request, time.monotonic())
        except InvalidOptionsError as error:
            request.emit([Refused(RefusalReason.INVALID_OPTIONS, str(error), error.option)])
            return
        limit = self.planner.manifest.max_source_tokens
        rows = [row for row in planned if row.length <= limit]
        long = [row for row in planned if row.length > limit]
        early: list[Event] = [TooLong(row.index, row.length, limit) for row in long]
        with self._taking:
            open_rows = count()
            if open_rows + len(rows) > self.most_rows:
                reason = f"{open_rows} texts run or wait, and at most {self.most_rows} may"
                self.refused += len(rows)
                request.emit([Refused(RefusalReason.QUEUE_FULL, reason)])
                return
            request.open_rows = len(rows)
            if early:
                request.emit(early)
            run(rows)
