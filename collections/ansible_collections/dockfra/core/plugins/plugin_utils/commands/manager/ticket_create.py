# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Create a ticket.

The new ticket is open. Its description can be read from the input: --desc -
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.tickets import model
from ...cli import tickets
from ...cli.call import Call
from ...cli.grammar import choices
from ...cli.output import Style

EXAMPLES: list[str] = [
    'ticket-create "Add user auth" --priority=high --desc="Implement JWT auth" --assign developer',
    'ticket-create "Crash on start" --desc - < report.txt',
]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("title", help="what is to be done, in one line")
    parser.add_argument("--priority", default="normal", help="normal by default", **choices(model.PRIORITIES))
    parser.add_argument(
        "--desc", "--description", dest="description", default="", help="more about it; - reads the input"
    )
    parser.add_argument(
        "--assign", dest="assigned_to", help="the role that works on it", **choices(model.ROLES)
    )
    parser.add_argument(
        "--label", dest="labels", action="append", default=[], help="a label; may be given again"
    )


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.description == tickets.FROM_INPUT)


def run(call: Call) -> dict[str, Any]:
    options = call.options
    fields = {
        "title": options.title,
        "priority": options.priority,
        "description": tickets.text(call, options.description),
        "assigned_to": options.assigned_to,
        "labels": options.labels,
    }
    return tickets.store().create(call.caller, fields).after.to_dict()


def render(data: dict[str, Any], style: Style) -> str:
    return f"Created {style.paint(data['id'], 'bold')}: {data['title']}"
