# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""List tickets."""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.tickets import model
from ....module_utils.tickets.store import Filter
from ...cli import tickets
from ...cli.call import Call
from ...cli.grammar import choices

EXAMPLES: list[str] = ["ticket-list --status open --assigned developer", "ticket-list --sort priority --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_filters(parser)
    parser.add_argument(
        "--assigned",
        action="append",
        default=[],
        help="only assigned to this role",
        **choices((*model.ROLES, "none")),
    )


def run(call: Call) -> dict[str, Any]:
    options = call.options
    wanted = Filter(
        status=options.status,
        priority=options.priority,
        assigned_to=[None if role == "none" else role for role in options.assigned],
        labels=options.label,
        text=options.text,
    )
    found = tickets.store().select(wanted, options.sort, reverse=options.reverse)
    return tickets.listing(found.tickets, [file.to_dict() for file in found.damaged])


render = tickets.render_listing
