"""A fair queue: the interactive rows of a lane, by tenant.

The tenant with the fewest slots goes next: max-min fairness, as between users in DRF (Ghodsi et
al., NSDI 2011).  Slots alone are not enough, since every row makes a step longer, and a row that
starts has all others wait for its encoder (Sarathi-Serve: Agrawal et al., OSDI 2024).  So a tenant
that asks for more than twice as much as all others together is throttled.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.runtime.request import Row

_DOMINATES = 2.0
_MEMORY_SECONDS = 1.0
_THROTTLED_FROM = 256.0
"""A demand of fewer tokens never throttles its tenant."""
_FORGOTTEN_BELOW = 1.0


@dataclass
class _Tenant:
    """What a tenant has in the lane: waiting rows, `running` slots, the tokens of both."""

    waiting: deque[Row] = field(default_factory=deque)
    running: int = 0
    tokens: int = 0


@dataclass
class _Demand:
    """The tokens that a tenant has asked for, decaying exponentially."""

    tokens: float = 0.0
    at: float = 0.0

    def at_time(self, now: float) -> float:
        """What is left of them."""
        return self.tokens * math.exp((self.at - now) / _MEMORY_SECONDS)


class FairQueue:
    """Rows that wait for slots; a throttled tenant runs at most `throttled_slots`."""

    def __init__(self, throttled_slots: int) -> None:
        self._throttled_slots = throttled_slots
        self._tenants: dict[str, _Tenant] = {}
        self._demands: dict[str, _Demand] = {}
        self.last_arrival = -math.inf

    def __len__(self) -> int:
        """How many rows wait."""
        return sum(len(tenant.waiting) for tenant in self._tenants.values())

    def append(self, row: Row) -> None:
        """Puts a row behind those of its tenant."""
        name = row.options.tenant
        tenant = self._tenants.setdefault(name, _Tenant())
        tenant.waiting.append(row)
        tenant.tokens += row.cost
        demand = self._demands.setdefault(name, _Demand())
        demand.tokens = demand.at_time(row.plan.arrived) + row.cost
        demand.at = row.plan.arrived
        self.last_arrival = max(self.last_arrival, row.plan.arrived)

    def throttled(self, now: float) -> str | None:
        """The tenant that is throttled, if one is."""
        self._demands = {
            name: demand
            for name, demand in self._demands.items()
            if demand.at_time(now) > _FORGOTTEN_BELOW or name in self._tenants
        }
        if len(self._demands) < 2:
            return None
        demands = {name: self._demand(name, now) for name in self._demands}
        most = max(demands, key=lambda name: demands[name])
        others = sum(demands.values()) - demands[most]
        return most if demands[most] > max(_THROTTLED_FROM, _DOMINATES * others) else None

    def next(self, throttled: str | None, *, may_start: bool) -> Row | None:
        """The row whose turn it is; one of the `throttled` tenant only if that `may_start` one."""
        able = [
            (tenant.running, name == throttled, tenant.waiting[0].plan.arrived, name)
            for name, tenant in self._tenants.items()
            if tenant.waiting and (name != throttled or (may_start and self._has_room(tenant)))
        ]
        return self._tenants[min(able)[-1]].waiting[0] if able else None

    def runs_beside(self, name: str | None) -> bool:
        """Whether a row of another tenant runs."""
        return any(each.running for other, each in self._tenants.items() if other != name)

    def start(self, row: Row) -> None:
        """Takes the row, which was the next, out of the queue: it runs."""
        tenant = self._tenants[row.options.tenant]
        tenant.waiting.popleft()
        tenant.running += row.width

    def retire(self, row: Row) -> None:
        """A running row has ended."""
        self._tenants[row.options.tenant].running -= row.width
        self._leave(row)

    def drop_waiting(self, unwanted: Callable[[Row], bool]) -> list[Row]:
        """Takes the waiting rows for which `unwanted` holds."""
        dropped: list[Row] = []
        for tenant in self._tenants.values():
            kept: deque[Row] = deque()
            for row in tenant.waiting:
                (dropped if unwanted(row) else kept).append(row)
            tenant.waiting = kept
        for row in dropped:
            self._leave(row)
        return dropped

    def _leave(self, row: Row) -> None:
        tenant = self._tenants[row.options.tenant]
        tenant.tokens -= row.cost
        if not tenant.tokens:
            del self._tenants[row.options.tenant]

    def _demand(self, name: str, now: float) -> float:
        """The tokens that a tenant has in the lane, or has asked for lately if those are more."""
        here = self._tenants[name].tokens if name in self._tenants else 0
        return max(self._demands[name].at_time(now), here)

    def _has_room(self, tenant: _Tenant) -> bool:
        return (
            not tenant.running or tenant.running + tenant.waiting[0].width <= self._throttled_slots
        )
