# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say yes to one plan of the autopilot.

It is good for an hour, once, and for exactly what 'approvals' shows. The autopilot does it in its next cycle, if nothing else stands in
the way by then.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ....module_utils.autopilot.approvals import Approvals
from ...autopilot import means, standing
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["approve 4f1c0a7be2d9"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as 'approvals' shows it")


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    book = Approvals(means.approvals_path(means.state()))
    return standing.told(book.approve(call.options.id, f"the {call.caller}", time.time()))


def render(data: dict[str, Any], style: Style) -> str:
    return f"Approved: {data['action']} {standing.words(data['parameters'])}"
