"""The process that watches what `up` has started; `restarts` decides what is done about a service.

It runs until a command that changes the stack stops it.
"""

import time
from collections.abc import Callable

from deploy.local import processes
from deploy.local.records import Repairs, StackRecord
from deploy.local.services.service import Service
from deploy.local.stack import Stack
from deploy.local.supervision.restarts import RepairActions, Watcher

_TICK_SECONDS = 0.5


class Supervisor:
    """A watcher for each service that was started, and the record that they change.

    `log` takes a sentence about each thing that happens.
    """

    def __init__(self, stack: Stack, log: Callable[[str], None]) -> None:
        self._stack = stack
        self._log = log
        self._record = StackRecord.load(stack.run_directory)
        started = [one for one in stack.services if one.name in self._record.processes]
        self._watchers = [self._watcher(service) for service in started]

    def run(self) -> None:
        """Watches until it is interrupted."""
        self._log(f"watching {', '.join(one.service.name for one in self._watchers)}")
        while True:
            self.look()
            time.sleep(_TICK_SECONDS)

    def look(self) -> None:
        """Looks at every service, once."""
        for watcher in self._watchers:
            process = self._record.processes.get(watcher.service.name)
            watcher.look(is_alive=process is not None and processes.is_alive(process))

    def _watcher(self, service: Service) -> Watcher:
        repairs = self._record.repairs.setdefault(service.name, Repairs())
        actions = RepairActions(
            restart=lambda: self._stack.restart(service, self._record),
            last_words=lambda: self._stack.last_words(service),
            note=self._note,
        )
        return Watcher(service, repairs, actions)

    def _note(self, sentence: str) -> None:
        self._log(sentence)
        try:
            self._record.save(self._stack.run_directory)
        except OSError as error:
            self._log(f"stack.json can't be written ({error.strerror})")
