# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show what the autopilot wants to do and may not without a yes. 'approve ID' says yes, 'reject ID' no."""

from __future__ import annotations

import argparse
from typing import Any

from ...autopilot import standing
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["approvals", "approvals --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    return {"requests": [standing.told(request) for request in standing.requests()]}


def render(data: dict[str, Any], style: Style) -> str:
    return (
        standing.render_requests(data["requests"], style) if data["requests"] else "Nothing waits for a yes."
    )
