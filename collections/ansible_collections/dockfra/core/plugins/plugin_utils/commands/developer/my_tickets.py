# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""List the tickets assigned to you, the most urgent first.

Closed ones are left out unless --status asks for them.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.tickets.store import Filter
from ...cli import tickets
from ...cli.call import Call

EXAMPLES: list[str] = ["my-tickets", "my-tickets --status closed"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_filters(parser)
    parser.set_defaults(sort="priority")


def run(call: Call) -> dict[str, Any]:
    options = call.options
    wanted = Filter(
        status=options.status or ["open", "in_progress"],
        priority=options.priority,
        assigned_to=[call.caller],
        labels=options.label,
        text=options.text,
    )
    found = tickets.store().select(wanted, options.sort, reverse=options.reverse)
    return tickets.listing(found.tickets, [])


render = tickets.render_listing
