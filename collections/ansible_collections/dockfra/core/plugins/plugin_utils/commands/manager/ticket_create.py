# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Create a ticket.

The new ticket is open and, unless --assign says otherwise, the developer's. Its description can be read from the input: --desc -
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import tickets
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = [
    'ticket-create "Add user auth" --priority=high --desc="Implement JWT auth"',
    'ticket-create "Crash on start" --desc - --assign monitor < report.txt',
]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("title", help="what is to be done, in one line")
    tickets.add_fields(parser)


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.description == tickets.FROM_INPUT)


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    return tickets.store().create(call.caller, tickets.fields(call)).after.to_dict()


def render(data: dict[str, Any], style: Style) -> str:
    return f"Created {style.paint(data['id'], 'bold')}, {tickets.whose(data)}: {data['title']}"
