"""Probes under way: each is answered when every group that lives has come round."""

from dataclasses import dataclass, field
from itertools import count

from engine.contract.events import Ready
from engine.runtime.request import Request


@dataclass(eq=False)
class _Probe:
    request: Request
    missing: set[int]


@dataclass
class Probes:
    """By number; those that came while no group lived wait in `unasked`. For callers with a lock.

    A group that hangs leaves probes open until it is killed for it. Then the others answer.
    """

    unasked: list[Request] = field(default_factory=list)
    _asked: dict[int, _Probe] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=count)

    def ask(self, request: Request, groups: set[int]) -> int:
        """The number that these groups, which live, have to come round for."""
        number = next(self._numbers)
        self._asked[number] = _Probe(request, set(groups))
        return number

    def note_round(self, group: int, number: int) -> list[Request]:
        """A group has come round; the requests that are answered now."""
        probe = self._asked.get(number)
        if probe is None:
            return []
        probe.missing.discard(group)
        return self._complete(has_groups=True)

    def lose(self, group: int, *, has_groups: bool) -> list[Request]:
        """A group has died; the requests that are answered now if others live."""
        for probe in self._asked.values():
            probe.missing.discard(group)
        return self._complete(has_groups=has_groups)

    def _complete(self, *, has_groups: bool) -> list[Request]:
        done = [number for number, probe in self._asked.items() if not probe.missing]
        requests = [self._asked.pop(number).request for number in done]
        if has_groups:
            return requests
        self.unasked += requests
        return []


def tell_ready(requests: list[Request]) -> None:
    """Tells those who asked."""
    for request in requests:
        request.emit([Ready()])
