"""A job in words."""

from datetime import datetime

from seqway.results import Job, JobState

_COLORS = {
    JobState.SUCCEEDED: "green",
    JobState.PARTIALLY_SUCCEEDED: "yellow",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
    JobState.EXPIRED: "yellow",
}


def outcome(job: Job) -> str:
    """How a job ended, and what to do next."""
    counts = job.counts
    parts = [f"{counts.succeeded:,} of {counts.total:,} lines succeeded"]
    for number, what in (
        (counts.failed, "failed"),
        (counts.cancelled, "were cancelled"),
        (counts.expired, "expired"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    advice = f"`seqway jobs results {job.id}` prints them"
    if counts.total > counts.succeeded:
        advice = (
            f"`seqway jobs errors {job.id}` says why, `seqway jobs resume {job.id}` tries these "
            "again"
        )
    return f"{', '.join(parts)}; {advice}"


def state(job: Job) -> str:
    """The state with its colour."""
    word = job.state.lower().replace("_", " ")
    if job.cancel_requested and not job.state.ended:
        word += ", to be cancelled"
    color = _COLORS.get(job.state)
    return f"[{color}]{word}[/{color}]" if color else word


def when(time: datetime | None) -> str:
    """In this machine's zone."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def when_shortly(time: datetime) -> str:
    """The same, for tables."""
    return f"{time.astimezone():%m-%d %H:%M}"
