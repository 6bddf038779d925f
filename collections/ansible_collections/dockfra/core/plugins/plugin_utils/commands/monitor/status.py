# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the state of every service, and who has lately reached a limit.

Each is asked over the network in its own protocol. Limits are those of connections and of room on the disk that a container's
guard has told in its audit log within ten minutes. The exit status is 1 when one does not work.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import health, limits
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["status", "status --json"]

# Seconds for all services together: a frozen one must not make people wait.
TIMEOUT = 1.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    configuration = health.Configuration.load()
    return {
        "services": health.services(configuration, TIMEOUT),
        "limits": limits.reached(configuration.audit_logs),
    }


def render(data: dict[str, Any], style: Style) -> str:
    parts = (limits.render(data["limits"], style), health.render(data["services"], style))
    return "\n\n".join(part for part in parts if part)


def exit_status(data: dict[str, Any]) -> int:
    return int(health.failing(data["services"]))
