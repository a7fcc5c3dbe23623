"""`seqway jobs cancel`, `resume` and `delete`."""

import typer

from seqway.cli.jobs.options import Deadline, JobId, Watched, duration
from seqway.cli.jobs.progress import follow
from seqway.cli.options.connection import ConnectionFlags
from seqway.cli.options.groups import with_flag_groups


@with_flag_groups
def cancel(*, job: JobId, connection: ConnectionFlags) -> None:
    """Cancel a job.  Finished lines keep their results."""
    with connection.client() as client:
        found = client.jobs.cancel(job)
    counts = found.counts
    if found.state.ended and not found.cancel_requested:
        said = f"it had already ended ({found.state.lower().replace('_', ' ')})"
    else:
        said = f"it ends with {counts.done:,} of {counts.total:,} lines done"
    typer.echo(f"seqway: {job}: {said}", err=True)


@with_flag_groups
def resume(
    *, job: JobId, deadline: Deadline = None, watch: Watched = False, connection: ConnectionFlags
) -> None:
    """Run again the lines of an ended job that have not succeeded."""
    with connection.client() as client:
        found = client.jobs.resume(job, deadline=duration(deadline, "--deadline"))
        if watch:
            follow(client, found)
        else:
            typer.echo(f"seqway: {job}: run {found.run}, {found.counts.pending:,} lines", err=True)


@with_flag_groups
def delete(*, job: JobId, connection: ConnectionFlags) -> None:
    """Delete a job that has ended, with its lines and results."""
    with connection.client() as client:
        client.jobs.delete(job)
    typer.echo(f"seqway: {job} is deleted", err=True)
