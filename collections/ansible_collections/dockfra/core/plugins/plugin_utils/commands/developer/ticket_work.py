# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Start work on a ticket that is assigned to you: it becomes in_progress."""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import tickets
from ...cli.call import Call

EXAMPLES: list[str] = ["ticket-work T-0001"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)


def run(call: Call) -> dict[str, Any]:
    return tickets.store().update(call.caller, call.options.id, {"status": "in_progress"}).after.to_dict()


render = tickets.render_ticket
