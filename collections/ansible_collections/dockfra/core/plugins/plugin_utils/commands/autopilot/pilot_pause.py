# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let the autopilot begin nothing for a while, or until pilot-resume.

What it has begun it brings to an end.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ....module_utils.autopilot import pause
from ...autopilot import means
from ...cli.call import Call
from ...cli.grammar import duration
from ...cli.output import Style

EXAMPLES: list[str] = [
    "pilot-pause",
    "pilot-pause --for 1h",
    "pilot-pause --for 30m --reason 'we move the database'",
]

MOST_REASON = 80


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        metavar="TIME",
        help="how long, for example 30m, 1h or 2d; without it until pilot-resume",
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, in a few words")


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    now, seconds = time.time(), call.options.seconds
    reason = " ".join(call.options.reason.split())[:MOST_REASON]
    path = means.pause_path(means.state())
    pause.pause(
        path, f"the {call.caller} ({reason})" if reason else f"the {call.caller}", seconds and now + seconds
    )
    return {"paused": pause.paused(path, now)}


def render(data: dict[str, Any], style: Style) -> str:
    return f"The autopilot does nothing: {data['paused']}"
