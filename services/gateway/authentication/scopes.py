"""Which scope a method needs."""

from collections.abc import Mapping

_SERVICES: Mapping[str, str] = {
    "TranslationService": "translate",
    "SummarizationService": "summarize",
    "ClassificationService": "classify",
    "QuestionAnsweringService": "answer",
    "ModelService": "models",
}
_READING = frozenset({"GetJob", "ListJobs", "WatchJob", "ReadResults"})
_READ_JOBS, _WRITE_JOBS = "jobs.read", "jobs.write"

ALL_SCOPES = frozenset({*_SERVICES.values(), _READ_JOBS, _WRITE_JOBS})


def scope_of(path: str) -> str:
    """The scope of a method such as "/seqway.v1.JobService/GetJob".

    A batch does what interactive calls do, so `jobs.write` alone lets a caller run any task.
    """
    service, _, method = path.removeprefix("/seqway.v1.").partition("/")
    if service == "JobService":
        return _READ_JOBS if method in _READING else _WRITE_JOBS
    return _SERVICES[service]
