"""The state of a stack as a table."""

from collections.abc import Sequence

from rich.table import Table

from deploy.local.ports import HOST
from deploy.local.stack import ServiceStatus


def status_table(statuses: Sequence[ServiceStatus]) -> Table:
    """One row for each service and each thing that it was asked for."""
    table = Table("Process", "Pid", "Address", "State")
    for status in statuses:
        ports = status.service.ports
        address = f"{HOST}:{ports[0].number}" if ports else "-"
        table.add_row(status.service.name, str(status.pid or "-"), address, _state(status))
        for check in status.checks:
            if check.subject == "server":
                continue
            state = "[green]ready[/green]" if check.ok else f"[red]{check.detail}[/red]"
            table.add_row(f"  {check.subject}", "", "", state)
    return table


def _state(status: ServiceStatus) -> str:
    if status.died:
        return "[bold red]dead: it was started and has ended[/bold red] (`make up` starts it again)"
    if status.pid is None:
        return "stopped"
    return "[green]ready[/green]" if status.ready else "[yellow]running, not ready[/yellow]"
