"""The state of a stack as a table."""

import time
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from deploy.local.ports import HOST
from deploy.local.records import Repairs
from deploy.local.stack import ServiceStatus, Supervision


def status_table(statuses: Sequence[ServiceStatus], supervision: Supervision) -> Table:
    """One row for each service and each thing that it was asked for, then who watches them."""
    table = Table("Process", "Pid", "Address", "State")
    for status in statuses:
        ports = status.service.ports
        address = f"{HOST}:{ports[0].number}" if ports else "-"
        table.add_row(status.service.name, str(status.pid or "-"), address, _state(status))
        for check in status.checks:
            if check.subject == "server":
                continue
            state = "[green]ready[/green]" if check.ok else f"[red]{escape(check.detail)}[/red]"
            table.add_row(f"  {check.subject}", "", "", state)
        if status.repairs.count:
            table.add_row("", "", "", f"[yellow]{escape(_repairs(status.repairs))}[/yellow]")
    if supervision.is_wanted:
        table.add_row("supervisor", str(supervision.pid or "-"), "-", _supervisor(supervision))
    return table


def _state(status: ServiceStatus) -> str:
    if status.pid is None and status.repairs.due:
        wait = max(0.0, status.repairs.due - time.time())
        reason = escape(status.repairs.reason)
        return f"[bold red]down[/bold red] ({reason}); it starts in {wait:.0f} s"
    if status.died:
        return "[bold red]dead: it was started and has ended[/bold red] (`make up` starts it again)"
    if status.pid is None:
        return "stopped"
    return "[green]ready[/green]" if status.ready else "[yellow]running, not ready[/yellow]"


def _repairs(repairs: Repairs) -> str:
    times = "once" if repairs.count == 1 else f"{repairs.count} times"
    return f"mended {times}, last at {repairs.last}: {repairs.reason}"


def _supervisor(supervision: Supervision) -> str:
    if supervision.pid is None:
        return "[bold red]dead: nobody starts what ends[/bold red] (`make up` starts it again)"
    return "[green]watching[/green]"
