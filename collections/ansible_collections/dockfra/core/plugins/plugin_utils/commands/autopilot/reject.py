# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say no to one plan of the autopilot, or take a yes back."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ....module_utils.autopilot.approvals import Approvals
from ...autopilot import means, standing
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["reject 4f1c0a7be2d9"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as 'approvals' shows it")


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    return standing.told(Approvals(means.approvals_path(means.state())).reject(call.options.id, time.time()))


def render(data: dict[str, Any], style: Style) -> str:
    return f"Rejected: {data['action']} {standing.words(data['parameters'])}"
