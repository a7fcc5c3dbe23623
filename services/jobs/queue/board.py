"""What Redis knows of the work: which chunks wait, which are out, and who has them.

All of it can be made again from the store.  Every change is one Lua script, so that feeders,
workers and reconcilers never see half of one; times are those of Redis, so that the clocks of
machines do not matter.  A *member* names a chunk of a run: "<job>/<run>/<chunk>".

    seqway:pending:<job>   sorted set   members that wait, by chunk
    seqway:ready:<tenant>  sorted set   the tenant's jobs with such members, by order
    seqway:tenants         sorted set   tenants with such jobs, by virtual time
    seqway:out             sorted set   members that are queued or run, by the end of their lease
    seqway:owners          hash         member -> token of the worker that has it
    seqway:paused:<job>    string       for as long as it is there, nothing of the job is handed out
    seqway:memo:<job>      hash         text -> answer

At its maxmemory Redis refuses the first write that needs memory; behind another one it goes on.

The tenant with the least virtual time is next, and a chunk adds one over the tenant's weight to it:
stride scheduling (Waldspurger and Weihl, 1995).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.jobs.errors import QueueUnavailableError

_PREFIX = "seqway:"
_SCRIPTS = (
    "announce",
    "dispatch",
    "put_back",
    "drop",
    "acquire",
    "renew",
    "release",
    "sweep",
    "memo",
    "load",
)
_ANNOUNCED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A chunk of a run."""

    job: str
    run: int
    chunk: int

    @classmethod
    def parse(cls, member: str) -> "Ticket":
        """The ticket that a member names."""
        job, run, chunk = member.split("/")
        return cls(job, int(run), int(chunk))

    def __str__(self) -> str:
        return f"{self.job}/{self.run}/{self.chunk}"


@dataclass(frozen=True, slots=True)
class Handout:
    """A chunk that was taken out, and whose turn it was."""

    ticket: Ticket
    tenant: str
    order: float


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """How much there is to do; chunks that are out are queued at workers or run.

    Redis's memory is in bytes; a limit of 0 means that there is none.
    """

    pending: int
    out: int
    jobs: int
    tenants: int
    memory: int
    memory_limit: int


class Board:
    """The state in Redis; every method raises QueueUnavailableError when Redis does not answer."""

    def __init__(self, url: str, timeout: float, weights: Mapping[str, float]) -> None:
        # No retries: a command that was lost on its way back would run twice (redis-py#3554).
        # The stubs of redis-py speak of bytes and of sockets, whatever the client decodes.
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._weights = weights
        folder = files("services.jobs.queue") / "lua"
        self._scripts: dict[str, Any] = {
            name: self._redis.register_script((folder / f"{name}.lua").read_text())
            for name in _SCRIPTS
        }

    def announce(self, tenant: str, order: float, tickets: Sequence[Ticket]) -> None:
        """Adds chunks of one job that are to be done; those that are known stay as they are."""
        for start in range(0, len(tickets), _ANNOUNCED_AT_ONCE):
            batch = tickets[start : start + _ANNOUNCED_AT_ONCE]
            named = [x for ticket in batch for x in (ticket.chunk, str(ticket))]
            self._run("announce", tenant, batch[0].job, order, *named)

    def dispatch(self, window: int, lease: float) -> Handout | None:
        """Takes the next chunk out, of the tenant whose turn it is; None when there is none."""
        weights = [x for pair in self._weights.items() for x in pair]
        found = self._run("dispatch", window, _ms(lease), *weights)
        if not found:
            return None
        member, tenant, order = found
        return Handout(Ticket.parse(member), tenant, float(order))

    def take_back(self, handout: Handout) -> None:
        """Undoes a dispatch of which no worker will hear; nothing when one has heard of it."""
        self._put_back(handout, "", 1 / self._weights.get(handout.tenant, 1))

    def put_back(self, handout: Handout, token: str) -> None:
        """Has the chunk of a token's owner wait again; nothing when another worker has it."""
        self._put_back(handout, token, 0)

    def _put_back(self, handout: Handout, token: str, refund: float) -> None:
        ticket = handout.ticket
        place = handout.tenant, ticket.job, handout.order, ticket.chunk, str(ticket)
        self._run("put_back", *place, token, refund)

    def pause(self, job: str, seconds: float) -> None:
        """Lets other jobs go first for a while."""
        with _faults():
            self._redis.set(_key("paused", job), "1", px=_ms(seconds))

    def is_paused(self, job: str) -> bool:
        """Whether other jobs go first for now."""
        with _faults():
            return bool(self._redis.exists(_key("paused", job)))

    def acquire(self, ticket: Ticket, token: str, lease: float) -> bool:
        """Makes a worker the owner of a chunk; False while another one is."""
        return bool(self._run("acquire", str(ticket), token, _ms(lease)))

    def renew(self, ticket: Ticket, token: str, lease: float) -> bool:
        """Extends the owner's lease; False when it is lost."""
        return bool(self._run("renew", str(ticket), token, _ms(lease)))

    def release(self, ticket: Ticket, token: str) -> bool:
        """Ends the owner's lease; tells whether nothing of the job waits or is out any more."""
        return bool(self._run("release", str(ticket), token, ticket.job))

    def sweep(self, longest: float) -> list[Ticket]:
        """Forgets the chunks whose lease has run out, and returns them.

        No lease ends later than `longest` seconds from now, whatever Redis's clock was before.
        """
        return [Ticket.parse(member) for member in self._run("sweep", _ms(longest))]

    def unowned(self) -> set[Ticket]:
        """The chunks that are out and that no worker has begun."""
        with _faults():
            out = self._redis.zrange(_key("out"), 0, -1)
            owners = self._redis.hmget(_key("owners"), out) if out else []
        pairs = zip(out, owners, strict=True)
        return {Ticket.parse(member) for member, owner in pairs if owner is None}

    def messages(self, queue: str, most: int) -> list[str]:
        """The messages that no worker has taken yet."""
        with _faults():
            return list(self._redis.lrange(queue, 0, most - 1))

    def drop(self, ticket: Ticket, *, owned: bool = False) -> bool:
        """Forgets that a chunk is out; not when a worker has begun it, unless `owned`."""
        return bool(self._run("drop", str(ticket), int(owned)))

    def now(self) -> float:
        """The time by Redis's clock, in seconds since the epoch."""
        with _faults():
            seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)

    def known(self, job: str) -> set[Ticket]:
        """The chunks of a job that wait or are out."""
        with _faults():
            waiting = self._redis.zrange(_key("pending", job), 0, -1)
            out = self._redis.zrange(_key("out"), 0, -1)
        members = [*waiting, *(each for each in out if each.startswith(f"{job}/"))]
        return {Ticket.parse(member) for member in members}

    def load(self) -> QueueLoad:
        """How much there is to do: one script and one INFO, whatever the number of chunks."""
        pending, out, jobs, tenants = map(int, self._run("load"))
        with _faults():
            memory = self._redis.info("memory")
        limit = int(memory.get("maxmemory", 0))
        return QueueLoad(pending, out, jobs, tenants, int(memory["used_memory"]), limit)

    def forget(self, tenant: str, job: str) -> None:
        """Drops what is known of a job; what is out ends by itself."""
        with _faults():
            self._redis.unlink(*(_key(each, job) for each in ("pending", "memo", "paused")))
            self._redis.zrem(_key("ready", tenant), job)

    def recall(self, job: str, texts: list[str]) -> list[str | None]:
        """The answers to texts, as far as they are remembered."""
        with _faults():
            return list(self._redis.hmget(_key("memo", job), texts)) if texts else []

    def memorize(self, job: str, answers: Mapping[str, str], limit: int, seconds: float) -> None:
        """Remembers answers for a while, at most `limit` bytes of one job."""
        if answers:
            flat = [x for pair in answers.items() for x in pair]
            self._run("memo", job, limit, int(seconds), *flat)

    def claim(self, name: str, token: str, seconds: float) -> bool:
        """Whether nobody else has claimed that name within so many seconds."""
        with _faults():
            return bool(self._redis.set(_key("claim", name), token, nx=True, px=_ms(seconds)))

    def live(self, role: str, host: str, pid: int, seconds: float) -> None:
        """Says that a process of that role consumes, for so many seconds."""
        with _faults():
            self._redis.set(_key("alive", role, host, str(pid)), "1", px=_ms(seconds))

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _run(self, script: str, *arguments: Any) -> Any:
        with _faults():
            try:
                return self._scripts[script](args=arguments)
            except redis.ReadOnlyError:
                # Behind a failover the old primary keeps its connections: look for the new one.
                self._redis.connection_pool.disconnect(inuse_connections=False)
                raise


def _key(*parts: str) -> str:
    return _PREFIX + ":".join(parts)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        kind = type(error).__name__
        raise QueueUnavailableError(f"Redis does not answer ({kind})", retry_delay=5.0) from error
