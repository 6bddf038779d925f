# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show one ticket with its comments."""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import tickets
from ...cli.call import Call

EXAMPLES: list[str] = ["ticket-show T-0001"]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)


def run(call: Call) -> dict[str, Any]:
    return tickets.store().get(call.options.id).to_dict()


render = tickets.render_ticket
