# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""List the tickets assigned to you, the most urgent first.

Closed ones are left out unless --status asks for them. Those that are assigned to nobody are named below.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.tickets.query import Filter
from ...cli import tickets
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["my-tickets", "my-tickets --status closed"]

# Of the tickets that are nobody's, so many are named for people.
SHOWN = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_filters(parser)
    parser.set_defaults(sort="priority")


def run(call: Call) -> dict[str, Any]:
    options = call.options
    wanted = Filter(
        status=options.status or ["open", "in_progress"],
        priority=options.priority,
        assigned_to=[call.caller, None],
        labels=options.label,
        text=options.text,
    )
    found = tickets.store().select(wanted, options.sort, reverse=options.reverse)
    own = [ticket for ticket in found.tickets if ticket.assigned_to == call.caller]
    nobodys = [ticket.id for ticket in found.tickets if not ticket.assigned_to and ticket.status != "closed"]
    return {**tickets.listing(own, []), "caller": call.caller, "unassigned": nobodys}


def render(data: dict[str, Any], style: Style) -> str:
    lines = [tickets.render_listing(data, style)]
    if nobodys := data["unassigned"]:
        more = f" and {len(nobodys) - SHOWN} more" if len(nobodys) > SHOWN else ""
        lines.append(
            f"Assigned to nobody: {', '.join(nobodys[:SHOWN])}{more}. "
            f"The manager gives you one with: ticket-update {nobodys[0]} --assign {data['caller']}"
        )
    return "\n".join(lines)
