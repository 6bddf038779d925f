# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show how the tickets stand and how the services are.

The monitor is asked for the services. The exit status is 1 when one does not work, when the monitor cannot be asked,
or when the file of a ticket is damaged.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import DockfraError
from ....module_utils.tickets import values
from ...cli import health, live, tickets, watched
from ...cli.call import Call
from ...cli.output import Style, table

EXAMPLES: list[str] = ["status", "status --json", "status --watch"]

# Seconds for the command, and for each picture of --watch.
TIME_LIMIT = 90.0


def arguments(parser: argparse.ArgumentParser) -> None:
    live.add_argument(parser)


def run(call: Call) -> dict[str, Any] | None:
    found: dict[str, Any] | None = live.show(call, lambda: _seen(call), render, TIME_LIMIT)
    return found


def _seen(call: Call) -> dict[str, Any]:
    listing = tickets.store().select()
    data: dict[str, Any] = {
        "tickets": {
            status: sum(ticket.status == status for ticket in listing.tickets) for status in values.STATUSES
        },
        "in_progress": [
            {key: getattr(ticket, key) for key in ("id", "title", "priority", "assigned_to")}
            for ticket in listing.tickets
            if ticket.status == "in_progress"
        ],
        "damaged": [file.to_dict() for file in listing.damaged],
        "services": [],
        "limits": [],
        "releases": [],
        "devices": [],
        "deploys": [],
        "monitor": "",
    }
    try:
        data |= watched.of_answer(call.ask("monitor", ["status"]))
    except DockfraError as error:
        data["monitor"] = " ".join(str(error).split())
    except (AttributeError, KeyError, TypeError, ValueError):
        data["monitor"] = "its answer is not what status says; run site.yml again"
    return data


def render(data: dict[str, Any] | None, style: Style) -> str:
    if data is None:
        return ""
    counts = ", ".join(f"{count} {status}" for status, count in data["tickets"].items())
    lines = [style.paint(f"Tickets: {counts}", "bold")]
    if data["in_progress"]:
        rows = [
            (ticket["id"], ticket["assigned_to"] or tickets.NOBODY, ticket["priority"], ticket["title"])
            for ticket in data["in_progress"]
        ]
        lines.append(table(style, ("IN PROGRESS", "ASSIGNED", "PRIORITY", "TITLE"), rows))
    lines += [style.paint(f"Damaged: {file['name']}: {file['reason']}", "red") for file in data["damaged"]]
    lines.append("")
    if data["monitor"]:
        lines.append(style.paint(f"Services: unknown; the monitor: {data['monitor']}", "red"))
        return "\n".join(lines)
    seen = "\n\n".join(filter(None, (*watched.render(data, style), health.render(data["services"], style))))
    return "\n".join([*lines, seen])


def exit_status(data: dict[str, Any] | None) -> int:
    if data is None:
        return 0
    return int(bool(data["monitor"] or data["damaged"]) or health.failing(data["services"]))
