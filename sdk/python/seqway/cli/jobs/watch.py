"""`seqway jobs watch`."""

from seqway.cli.connection import Connection
from seqway.cli.flag_groups import with_flag_groups
from seqway.cli.jobs.arguments import JobId
from seqway.cli.jobs.progress import follow


@with_flag_groups
def watch(*, job: JobId, connection: Connection) -> None:
    """Show a job's progress until it has ended.

    Exit code 0 when every line succeeded, else 1.  Ctrl-C leaves the job alone.
    """
    with connection.client() as client:
        follow(client, client.jobs.get(job))
