"""Where the objects of a job lie.

active/<job>                          it may have work to do
index/<tenant>/<newest first>-<job>   a tenant's jobs
expiring/<time>-<job>                 when it is to be deleted
clock/<any>                           for a moment: asks what time the store has
jobs/<job>/record.json                the job was accepted
jobs/<job>/input-<upload>/<chunk>     its lines
jobs/<job>/run-<n>/start.json         of runs after the first
jobs/<job>/run-<n>/cancel.json        somebody cancelled it
jobs/<job>/run-<n>/attempts/<chunk>/  who tried
jobs/<job>/run-<n>/pieces/<chunk>/    results of parts of a chunk that was halved
jobs/<job>/run-<n>/results/<chunk>    the chunk is done
jobs/<job>/run-<n>/final.json         the run has ended

A run is a pass over the job: the first one, or one that was resumed.
"""

from base64 import b32encode
from dataclasses import dataclass
from hashlib import blake2b

ACTIVE = "active/"
EXPIRING = "expiring/"
_LONGEST_NAME = 255  # file systems take no longer one
_FAR = 10**13  # milliseconds; until the year 2286


def active(job: str) -> str:
    """The mark of a job that may have work to do."""
    return f"{ACTIVE}{job}"


def index_folder(tenant: str) -> str:
    """The folder of a tenant's jobs; the name of a tenant may be anything."""
    name = b32encode(tenant.encode()).decode().rstrip("=")
    if len(name) > _LONGEST_NAME:
        # Lower case, so that it is the code of no other name.
        name = blake2b(tenant.encode(), digest_size=32).hexdigest()
    return f"index/{name}/"


def index(tenant: str, created: float, job: str) -> str:
    """A tenant's job; these keys sort by time, the newest first."""
    return f"{index_folder(tenant)}{_FAR - int(created * 1000):013d}-{job}"


def expiring(when: float, job: str) -> str:
    """A job that is to be deleted; these keys sort by time."""
    return f"{EXPIRING}{int(when * 1000):013d}-{job}"


def job_of(key: str) -> str:
    """The job of a key of `active`, `index` or `expiring`."""
    return key.rpartition("/")[2].rpartition("-")[2]


def job_folder(job: str) -> str:
    """All of a job."""
    return f"jobs/{job}/"


def record(job: str) -> str:
    """What was accepted."""
    return f"jobs/{job}/record.json"


def upload_folder(job: str, upload: str) -> str:
    """One upload; several callers may send the same job at once."""
    return f"jobs/{job}/input-{upload}/"


def is_input(key: str) -> bool:
    """Whether an object of a job is a part of an upload."""
    return key.split("/")[2].startswith("input-")


def input_chunk(job: str, upload: str, chunk: int) -> str:
    """The lines of a chunk."""
    return f"{upload_folder(job, upload)}{chunk:06d}.jsonl"


def recurring(job: str, upload: str, chunk: int) -> str:
    """Which texts of a chunk come again in later ones."""
    return f"{upload_folder(job, upload)}{chunk:06d}.recurring"


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The objects of one run."""

    job: str
    run: int

    @property
    def folder(self) -> str:
        """All of the run."""
        return f"jobs/{self.job}/run-{self.run:04d}/"

    @property
    def start(self) -> str:
        """The record of the run."""
        return f"{self.folder}start.json"

    @property
    def cancel(self) -> str:
        """Somebody cancelled it."""
        return f"{self.folder}cancel.json"

    @property
    def final(self) -> str:
        """How it ended."""
        return f"{self.folder}final.json"

    @property
    def output(self) -> str:
        """All results."""
        return f"{self.folder}output.jsonl"

    @property
    def errors(self) -> str:
        """The results of lines that did not succeed."""
        return f"{self.folder}errors.jsonl"

    @property
    def results(self) -> str:
        """The folder of the chunks' results."""
        return f"{self.folder}results/"

    def result(self, chunk: int) -> str:
        """The results of a chunk."""
        return f"{self.results}{chunk:06d}.jsonl"

    def attempts(self, chunk: int) -> str:
        """The folder of the attempts at a chunk."""
        return f"{self.folder}attempts/{chunk:06d}/"

    def piece(self, chunk: int, start: int, stop: int) -> str:
        """The results of a part of a chunk."""
        return f"{self.folder}pieces/{chunk:06d}/{start:06d}-{stop:06d}.jsonl"


def chunk_of(key: str) -> int:
    """The chunk of a result's key."""
    return int(key.rpartition("/")[2].partition(".")[0])
