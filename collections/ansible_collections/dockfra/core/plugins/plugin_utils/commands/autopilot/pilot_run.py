# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Do one cycle of the autopilot now, beside those of its daemon.

It looks, decides and does what its mode and the policy admit. With --dry-run it only says what it would do.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ....module_utils.errors import BusyError, LockBusyError
from ...autopilot import planning, standing
from ...autopilot.means import Means
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["pilot-run", "pilot-run --dry-run", "pilot-run --json"]

# The longest action, and what is looked at before and after it.
TIME_LIMIT = 7200.0

# Seconds that a cycle of somebody else is waited for.
PATIENCE = 120.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say what would be done")


def changes(options: argparse.Namespace) -> bool:
    return not options.dry_run


def run(call: Call) -> dict[str, Any]:
    pilot = planning.pilot(Means.load(call.place), call.tell)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            report = pilot.cycle(f"pilot-run of the {call.caller}", dry=call.options.dry_run)
            return {**report.to_dict(), "dry_run": call.options.dry_run}
        except LockBusyError as error:
            if time.monotonic() > deadline:
                raise BusyError(str(error)) from error
            time.sleep(0.5)


def render(data: dict[str, Any], style: Style) -> str:
    lines = [style.paint(problem, "yellow") for problem in data["problems"]]
    found = [*data["settled"], *data["decisions"]]
    if found:
        lines.append(standing.render_decisions(found, style))
    what = "would be done" if data["dry_run"] else "is new to be done"
    lines.append(
        f"Cycle {data['cycle']} took {data['seconds']:.1f} s."
        if found
        else f"Cycle {data['cycle']} took {data['seconds']:.1f} s; nothing {what}."
    )
    return "\n".join(lines)
