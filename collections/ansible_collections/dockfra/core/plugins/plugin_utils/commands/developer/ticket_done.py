# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Finish a ticket that you work on: it becomes closed.

A comment says what was done; --comment - reads it from the input.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import tickets
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ['ticket-done T-0001 --comment "Implemented, tests pass"']


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)
    parser.add_argument("--comment", help="what was done; - reads the input")


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.comment == tickets.FROM_INPUT)


def run(call: Call) -> dict[str, Any]:
    comment = tickets.text(call, call.options.comment)
    change = tickets.store().update(
        call.caller, call.options.id, {"status": "closed"}, comment=comment, comment_once=True
    )
    return change.after.to_dict()


def render(data: dict[str, Any], style: Style) -> str:
    return f"Closed {style.paint(data['id'], 'bold')}: {data['title']}"
