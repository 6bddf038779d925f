# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the deploy commands share: their arguments, the work, and how it is shown."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ...module_utils.releases.record import checked_who
from ..cli.call import Call
from ..cli.output import Style, table
from . import configuration, fleet, ledger, telling
from .pipeline import Pipeline, Request

TIME_LIMIT = configuration.TIME_LIMIT


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those of a deploy."""
    parser.add_argument(
        "ref",
        metavar="REF",
        nargs="?",
        default="",
        help="a branch or commit of the origin; by default main as it is now",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument(
        "--automatic",
        action="store_true",
        help="leave out what failed before or was rolled back, as the monitor does by itself",
    )


def changes(options: argparse.Namespace) -> bool:
    """Whether a deploy with these options is one."""
    return not options.dry_run


def who(call: Call) -> str:
    """Return who asks, for the record."""
    by = os.environ.get(configuration.BY, "")
    return checked_who(f"{call.caller} ({by})" if by and call.caller == call.place.name else call.caller)


def deploy(call: Call, target: str) -> dict[str, Any]:
    """Deploy as a call asks; raises as `pipeline.Pipeline.deploy` does."""
    options = call.options
    reboot = getattr(options, "reboot", False)
    request = Request(target, options.ref, who(call), options.automatic, reboot=reboot)
    if options.dry_run:
        return Pipeline(call.tell).plan(request)
    with telling.told(call) as begins:
        return Pipeline(call.tell, begins=begins).deploy(request)


def render(data: dict[str, Any], style: Style) -> str:
    """Return what was done, for people."""
    commit = data["commit"][:12]
    if data["result"] == "unchanged":
        what = f"{data['target']} is at {commit} already" if commit else f"{data['target']} is there already"
        return f"{what}; nothing was done"
    words = {
        "planned": f"{data['target']} would be brought to {commit}",
        ledger.DEPLOYED: f"{data['target']} is at {commit} now, after {data['seconds']:.1f} s",
        ledger.ROLLED_BACK: f"{data['target']} was rolled back, in {data['seconds']:.1f} s",
    }
    rows = [
        (
            entry["service"],
            _shown(entry["before"]),
            _shown(entry["after"]),
            "build" if entry["build"] else "-",
        )
        for entry in data["services"]
    ]
    lines = [
        style.paint(words[data["result"]], "bold"),
        *([table(style, ("SERVICE", "BEFORE", "AFTER", ""), rows)] if rows else []),
    ]
    if data["devices"]:
        rows = [
            (entry["device"], entry["before"] or fleet.NONE, entry["after"] or fleet.NONE, entry["problem"])
            for entry in data["devices"]
        ]
        lines.append(table(style, ("DEVICE", "BEFORE", "AFTER", ""), rows))
    lines += [f"  {subject}" for subject in data["commits"][:20]]
    if len(data["commits"]) > 20:
        lines.append(f"  and {len(data['commits']) - 20} commits more")
    if data["tickets"]:
        lines.append(f"tickets: {', '.join(data['tickets'])}")
    return "\n".join(lines)


def _shown(release: str) -> str:
    return release or "image"
