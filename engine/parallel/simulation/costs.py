"""What a call and a chunk of a batch job cost beside the model.

Processor times were measured with one sentence a call, 32 in flight, on 2 virtual cores of an AMD
EPYC with AVX-512 VNNI (2026-11-26). What Redis and the store can do depends on where they run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceCosts:
    """Seconds, and rates a second.

    `gateway` is a gateway's processor time for a text that is a call of its own, `front` that of a
    pod's Triton in Python, of which there is one thread at a time, for a row: without its model.

    A chunk has `lines`; it costs `redis_commands` and `store_reads` and `store_writes`, counted in
    `services/jobs`: the feeder's dispatch, Celery's message and acknowledgement, lease, renewals
    and release; the items, three looks at what is there, the result and its reading at the end.
    Each line is looked up and kept in Redis by its text (`services/jobs/chunks/memo.py`).
    """

    gateway: float = 1.2e-3
    front: float = 0.8e-3
    lines: int = 2048
    redis_commands: int = 16
    redis_fields: int = 2
    store_reads: int = 5
    store_writes: int = 1
    redis_command_rate: float = 100_000.0
    """An assumption, of one Redis without pipelines."""
    redis_field_rate: float = 1_000_000.0
    """Likewise, of fields in commands that have many."""
    store_read_rate: float = 5_500.0
    """Of one prefix of Amazon S3 (its public documentation)."""
    store_write_rate: float = 3_500.0
    """Likewise."""

    def redis_share(self, lines: float) -> float:
        """How busy Redis is with so many lines a second."""
        chunks = lines / self.lines
        commands = chunks * self.redis_commands / self.redis_command_rate
        return commands + lines * self.redis_fields / self.redis_field_rate

    def store_share(self, lines: float) -> float:
        """How busy the store is with so many lines a second, by the scarcer of its two rates."""
        chunks = lines / self.lines
        reads = chunks * self.store_reads / self.store_read_rate
        return max(reads, chunks * self.store_writes / self.store_write_rate)
