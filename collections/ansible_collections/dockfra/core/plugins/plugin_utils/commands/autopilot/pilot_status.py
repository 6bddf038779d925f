# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show how the autopilot stands: its mode, what waits for a person, and what it decided last."""

from __future__ import annotations

import argparse
from typing import Any

from ...autopilot import standing
from ...cli.call import Call

EXAMPLES: list[str] = ["pilot-status", "pilot-status --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    return standing.now(call.place)


render = standing.render
