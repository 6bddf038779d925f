"""A snapshot as text for a terminal."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from dockfra_status.platform import Deployment, Device, Service, Snapshot

T = TypeVar("T")
Columns = dict[str, Callable[[T], str]]

SERVICES: Columns[Service] = {
    "service": lambda service: service.service,
    "port": lambda service: str(service.port),
    "state": lambda service: service.state,
    "latency": lambda service: f"{service.latency_ms:.0f} ms",
    "detail": lambda service: service.detail,
}
DEPLOYMENTS: Columns[Deployment] = {
    "service": lambda deployment: deployment.service,
    "version": lambda deployment: deployment.version,
    "state": lambda deployment: deployment.status,
    "by": lambda deployment: deployment.deployed_by,
    "started": lambda deployment: ago(deployment.started_at),
    "note": lambda deployment: deployment.note,
}
DEVICES: Columns[Device] = {
    "device": lambda device: device.name,
    "kind": lambda device: device.kind,
    "architecture": lambda device: device.architecture,
    "version": lambda device: device.version,
    "address": lambda device: device.address or "-",
    "last seen": lambda device: ago(device.last_seen),
}

GREEN, RED, YELLOW = 32, 31, 33
COLOURS = {"ok": GREEN, "up": GREEN, "succeeded": GREEN, "degraded": RED, "down": RED, "failed": RED}


def render(snapshot: Snapshot, colour: bool = False) -> str:
    blocks: list[str] = []
    if snapshot.status is not None:
        blocks.append(
            f"{snapshot.url}: {paint(snapshot.status.status, colour)}, "
            f"{snapshot.status.asked} of {snapshot.status.total} services asked"
        )
        blocks.append(table("SERVICES", SERVICES, snapshot.status.services, colour))
    if snapshot.deployments is not None:
        blocks.append(table("DEPLOYMENTS", DEPLOYMENTS, snapshot.deployments, colour))
    if snapshot.devices is not None:
        blocks.append(table("DEVICES", DEVICES, snapshot.devices, colour))
    return "\n\n".join(blocks)


def table(title: str, columns: Columns[T], items: list[T], colour: bool) -> str:
    rows = [list(columns), *([printable(value(item)) for value in columns.values()] for item in items)]
    if not items:
        return f"{title}\n  none"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    painted = list(columns).index("state") if "state" in columns else -1
    lines = [title]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if painted >= 0 and row is not rows[0]:
            # Padded by hand: the colour's own characters have no width.
            cells[painted] = paint(row[painted], colour) + " " * (widths[painted] - len(row[painted]))
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def paint(state: str, colour: bool) -> str:
    return f"\x1b[{COLOURS.get(state, YELLOW)}m{state}\x1b[0m" if colour else state


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would obey."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def ago(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"
