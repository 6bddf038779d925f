# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the state of every service.

Each is asked over the network in its own protocol. The exit status is 1 when one does not work.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import health
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["status", "status --json"]

# Seconds for all services together: a frozen one must not make people wait.
TIMEOUT = 1.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    return {"services": health.services(health.Configuration.load(), TIMEOUT)}


def render(data: dict[str, Any], style: Style) -> str:
    return health.render(data["services"], style)


def exit_status(data: dict[str, Any]) -> int:
    return int(health.failing(data["services"]))
