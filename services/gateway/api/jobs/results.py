"""The results of a job, in messages that are not too large."""

from collections.abc import Iterable, Iterator

from seqway.v1 import job_pb2 as pb

from services.gateway.api.jobs.messages import result_message
from services.gateway.api.pages import token_of
from services.jobs.store.records import Status
from services.jobs.store.results import Line

_MOST_RESULTS = 256
_MOST_CHARACTERS = 1_000_000


def result_responses(lines: Iterable[Line], wanted: int) -> Iterator[pb.ReadResultsResponse]:
    """The lines that pass the filter `wanted`; each token leads to what follows its message."""
    part: list[pb.JobResult] = []
    characters = 0
    for line in lines:
        if not _passes(line, wanted):
            continue
        part.append(result_message(line))
        characters += len(part[-1].text)
        if len(part) == _MOST_RESULTS or characters > _MOST_CHARACTERS:
            yield _response(part)
            part, characters = [], 0
    if part:
        yield _response(part)


def _response(part: list[pb.JobResult]) -> pb.ReadResultsResponse:
    return pb.ReadResultsResponse(results=part, resume_token=token_of(str(part[-1].index + 1)))


def _passes(line: Line, wanted: int) -> bool:
    if wanted == pb.JOB_RESULT_FILTER_UNSPECIFIED:
        return True
    succeeded = bool(line["status"] == Status.SUCCEEDED.value)
    return succeeded == (wanted == pb.JOB_RESULT_FILTER_SUCCEEDED)
