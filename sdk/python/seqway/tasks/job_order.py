"""The messages that create a batch job."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp

from seqway.tasks.arguments import invalid_field
from seqway.tasks.job_input import JobLines, LineFormat, pieces
from seqway.v1 import job_pb2 as pb

PriorityName = Literal["low", "normal", "high"]

# The longest that servers allow; they end calls without a deadline after ten minutes.
LONGEST_UPLOAD = 86_400.0


@dataclass(frozen=True, slots=True)
class JobHandling:
    """When a job runs, and how it is found and kept; empty is the server's default."""

    request_id: str = ""
    labels: Mapping[str, str] | None = None
    priority: PriorityName = "normal"
    deadline: datetime | timedelta | None = None
    retention: timedelta | None = None

    def apply_to(self, spec: pb.JobSpec) -> None:
        """Sets the fields; `InvalidRequestError` for an unknown priority."""
        spec.request_id = self.request_id or uuid.uuid4().hex
        spec.labels.update(self.labels or {})
        spec.priority = _priority(self.priority)
        if self.deadline is not None:
            spec.deadline.CopyFrom(timestamp(self.deadline))
        if self.retention is not None:
            spec.retention.FromTimedelta(self.retention)


@dataclass(frozen=True, slots=True)
class JobOrder:
    """The specification, and the lines unless the server reads them itself."""

    spec: pb.JobSpec
    lines: JobLines
    timeout: float

    def requests(self) -> Iterator[bytes]:
        """The messages of the call, serialized."""
        yield pb.CreateJobRequest(spec=self.spec).SerializeToString()
        for piece in pieces(self.lines, self.spec.input.text_field):
            yield pb.CreateJobRequest(data=piece).SerializeToString()


def job_order(
    task: pb.JobSpec,
    lines: JobLines,
    handling: JobHandling,
    line_format: LineFormat,
    timeout: float | None,
) -> JobOrder:
    """Completes the specification `task`; the upload may take a day unless `timeout` says less."""
    handling.apply_to(task)
    task.input.CopyFrom(line_format.message(lines))
    return JobOrder(task, lines, LONGEST_UPLOAD if timeout is None else timeout)


def _priority(name: str) -> "pb.JobPriority.ValueType":
    try:
        return pb.JobPriority.Value(f"JOB_PRIORITY_{name.upper()}")
    except ValueError:
        raise invalid_field(
            "priority", f'must be "low", "normal" or "high", not {name!r}'
        ) from None


def timestamp(when: datetime | timedelta) -> Timestamp:
    """A time, or a duration from now; a time without a zone is local."""
    if isinstance(when, timedelta):
        when = datetime.now(UTC) + when
    stamp = Timestamp()
    stamp.FromDatetime(when.astimezone(UTC))
    return stamp
