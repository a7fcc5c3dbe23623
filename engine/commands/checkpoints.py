"""`seqway-models import` and `export`: a checkpoint becomes variants of the model repository."""

from dataclasses import replace

from engine.commands.request import with_request
from engine.commands.terminal import console, stage, stoppable
from engine.export.importer import ImportRequest, import_checkpoint


def import_with_progress(request: ImportRequest) -> None:
    """Imports with progress on the terminal."""
    with stoppable():
        folders = import_checkpoint(request, stage)
    for folder in folders:
        console.print(f"wrote {folder}", markup=False, highlight=False, soft_wrap=True)


@with_request
def import_command(request: ImportRequest) -> None:
    """Bring a checkpoint into the model repository: all variants, or none if one fails."""
    import_with_progress(request)


@with_request
def export_command(request: ImportRequest) -> None:
    """Import a checkpoint anew: variants that exist already are replaced."""
    import_with_progress(replace(request, force=True))
