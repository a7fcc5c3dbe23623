"""The state of a server, as far as a caller can see."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from seqway.errors import NotFoundError, SeqwayError
from seqway.results import Model
from seqway.sync.client import Client

MOST_JOBS = 500
"""Only so many jobs are counted, the newest, since each is looked up in the store."""

_PACKAGE = "seqway.v1"
_SERVICES = (
    "TranslationService",
    "SummarizationService",
    "ClassificationService",
    "QuestionAnsweringService",
    "ModelService",
)
_NO_JOBS = "UNIMPLEMENTED"


@dataclass(frozen=True, slots=True)
class Standing:
    """`serving` is of the server as a whole, `services` of each that it has, by its short name.

    `jobs` are the tenant's by state, the newest `MOST_JOBS` of them; None when the server takes
    none, or cannot tell, which `problem` says then.
    """

    address: str
    serving: bool
    services: Mapping[str, bool]
    models: tuple[Model, ...]
    jobs: Mapping[str, int] | None
    more_jobs: bool = False
    problem: str = ""


def standing_of(client: Client) -> Standing:
    """Asks the server; raises `SeqwayError` when it does not answer."""
    serving = client.check_health()
    services = {name: serves for name in _SERVICES if (serves := _serves(client, name)) is not None}
    models = tuple(client.list_models())
    try:
        jobs = list(islice(client.jobs.list(), MOST_JOBS + 1))
    except SeqwayError as error:
        problem = "" if error.reason == _NO_JOBS else f"{error.message} [{error.reason}]"
        return Standing(client.address, serving, services, models, None, problem=problem)
    counts = dict(Counter(job.state.lower() for job in jobs[:MOST_JOBS]))
    return Standing(client.address, serving, services, models, counts, len(jobs) > MOST_JOBS)


def _serves(client: Client, service: str) -> bool | None:
    """None when the server has no such service."""
    try:
        return client.check_health(f"{_PACKAGE}.{service}")
    except NotFoundError:
        return None
