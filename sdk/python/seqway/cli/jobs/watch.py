"""`seqway jobs watch`."""

from seqway.cli.jobs.options import JobId
from seqway.cli.jobs.progress import follow
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups


@with_flag_groups
def watch(*, job: JobId, connection: ConnectionFlags) -> None:
    """Show a job's progress until it has ended.

    Exit code 0 when every line succeeded, else 1.  Ctrl-C leaves the job alone.
    """
    with connection.client() as client:
        follow(client, client.jobs.get(job))
