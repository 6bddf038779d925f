# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""List tickets."""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.tickets.query import Filter
from ...cli import tickets
from ...cli.call import Call

EXAMPLES: list[str] = ["ticket-list --status open --assign developer", "ticket-list --sort priority --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_filters(parser)
    tickets.add_assign(parser, action="append", default=[], help="only assigned to this role, or to none")


def run(call: Call) -> dict[str, Any]:
    options = call.options
    wanted = Filter(
        status=options.status,
        priority=options.priority,
        assigned_to=list(map(tickets.assignee, options.assigned_to)),
        labels=options.label,
        text=options.text,
    )
    found = tickets.store().select(wanted, options.sort, reverse=options.reverse)
    return tickets.listing(found.tickets, [file.to_dict() for file in found.damaged])


render = tickets.render_listing
