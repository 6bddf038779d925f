# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let the autopilot go on after pilot-pause."""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.autopilot import pause
from ...autopilot import means
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["pilot-resume"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    pause.resume(means.pause_path(means.state()))
    return {"paused": ""}


def render(data: dict[str, Any], style: Style) -> str:
    return "The autopilot goes on with its next cycle."
