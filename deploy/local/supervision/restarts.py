"""Decides when one service is started again or mended, and does it."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.local.errors import StackError
from deploy.local.records import Repairs
from deploy.local.services.service import Check, Service

_CHECK_SECONDS = 3.0
_LONGEST_DELAY = 30.0
# A service that ran for so long was well: what happens next is a new fault.
_WELL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RepairActions:
    """What a watcher may do: start the service anew, tell why it ended, keep and log a change."""

    restart: Callable[[], None]
    last_words: Callable[[], str]
    note: Callable[[str], None]


class Watcher:
    """Looks after one service; a thread of its own probes it, since what hangs takes long to ask.

    What fails again and again is started less and less often.
    """

    def __init__(self, service: Service, repairs: Repairs, actions: RepairActions) -> None:
        self.service = service
        self._repairs = repairs
        self._actions = actions
        self._failures = 0
        self._began = time.monotonic()
        self._was_ready = True
        self._found: tuple[float, Sequence[Check]] | None = None
        self._silent: dict[str, tuple[float, float]] = {}
        name = f"check-{service.name}"
        threading.Thread(target=self._keep_checking, name=name, daemon=True).start()

    def look(self, *, is_alive: bool) -> None:
        """Does what is due."""
        if is_alive:
            self._examine()
        elif not self._repairs.due:
            words = self._actions.last_words()
            self._plan(f"it ended{': ' if words else ''}{words}")
        if self._repairs.due and time.time() >= self._repairs.due:
            self._start()

    def _keep_checking(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._found = began, self.service.check()
            except Exception:
                traceback.print_exc()  # to the log; the next probe may go well
            time.sleep(_CHECK_SECONDS)

    def _examine(self) -> None:
        """Weighs what the last probe has found, unless that was before the latest repair."""
        found, self._found = self._found, None
        if time.monotonic() - self._began > _WELL_SECONDS:
            self._failures = 0
        if found is None or found[0] <= self._began:
            return
        probed, checks = found
        self._was_ready = self._was_ready or all(each.ok or each.is_hopeless for each in checks)
        silent = [each for each in checks if each.is_silent and self._was_ready]
        self._silent = {each.subject: self._silence(each, probed) for each in silent}
        for check in checks:
            if check.is_dead or (check.is_silent and self._is_over(check, probed)):
                self._mend(check)
                return

    def _is_over(self, check: Check, probed: float) -> bool:
        """Whether a part was silent for too long; a slow probe or a late look adds nothing."""
        since, _ = self._silent.get(check.subject, (probed, 0.0))
        return probed - since >= self.service.silent_seconds

    def _silence(self, check: Check, probed: float) -> tuple[float, float]:
        """Since when a part is silent and has done nothing, and what it had done by then."""
        since, work = self._silent.get(check.subject, (probed, check.work))
        return (since, work) if work == check.work else (probed, check.work)

    def _mend(self, check: Check) -> None:
        reason = f"{check.subject} {check.detail}"
        self._silent.clear()
        try:
            self.service.mend(check.subject)
        except StackError:
            self._plan(reason)
            return
        self._began = time.monotonic()
        self._count(reason)

    def _plan(self, reason: str) -> None:
        """Plans a restart: at once behind the first failure, then later and later."""
        delay = min(_LONGEST_DELAY, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        self._failures += 1
        self._repairs.reason = reason
        self._repairs.due = time.time() + delay
        self._actions.note(f"{self.service.name}: {reason}; it restarts in {delay:g} s")

    def _start(self) -> None:
        reason, self._repairs.due = self._repairs.reason, 0.0
        self._silent.clear()
        try:
            self._actions.restart()
        except (StackError, OSError) as error:
            self._plan(str(error))
            return
        self._began = time.monotonic()
        self._was_ready = False
        self._count(reason)

    def _count(self, reason: str) -> None:
        self._repairs.count += 1
        self._repairs.reason = reason
        self._repairs.last = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        self._actions.note(f"{self.service.name}: mended ({reason})")
