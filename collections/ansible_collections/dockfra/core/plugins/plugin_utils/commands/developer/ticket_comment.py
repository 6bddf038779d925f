# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Comment on a ticket that is assigned to you; - as the text reads it from the input."""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import tickets
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ['ticket-comment T-0001 "The tests pass"', "ticket-comment T-0001 - < report.txt"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)
    parser.add_argument("text", help="the comment; - reads the input")


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.text == tickets.FROM_INPUT)


def run(call: Call) -> dict[str, Any]:
    comment = tickets.text(call, call.options.text)
    return tickets.store().update(call.caller, call.options.id, {}, comment=comment).after.to_dict()


def render(data: dict[str, Any], style: Style) -> str:
    return f"Commented on {style.paint(data['id'], 'bold')}: {data['title']}"
