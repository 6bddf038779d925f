# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the settings of all roles, or of one; of a secret only whether it is set."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ....module_utils.errors import DockfraError, UsageError
from ....module_utils.policy.roles import ROLES
from ....module_utils.text import shown
from ...cli import codes, configuration
from ...cli.call import Call, Place
from ...cli.grammar import suggest

EXAMPLES: list[str] = ["config-show", "config-show developer", "config-show ssh-monitor --json"]

ALL = "all"


def arguments(parser: argparse.ArgumentParser) -> None:
    service = parser.add_argument(
        "service",
        nargs="?",
        default=ALL,
        metavar="ROLE",
        help="whose, by the role or its service; all by default",
    )
    suggest(
        service,
        lambda place, _given: [ALL, *_there(place), *(place.services[role] for role in _there(place))],
    )


def run(call: Call) -> dict[str, Any]:
    wanted = call.place.named(call.options.service)
    roles = [role for role in _there(call.place) if wanted in (ALL, role)]
    if not roles:
        raise UsageError(
            f"there is no role {shown(wanted)} here; choose from {', '.join((ALL, *_there(call.place)))}"
        )
    # Each waits for its own container, and one that is down keeps nobody else waiting.
    with ThreadPoolExecutor(len(roles)) as pool:
        return {"services": list(pool.map(lambda role: _found(call, role), roles))}


def _there(place: Place) -> list[str]:
    return [role for role in ROLES if role in place.services]


def _found(call: Call, role: str) -> dict[str, Any]:
    try:
        return configuration.read(call, role)
    except DockfraError as error:
        return {"role": role, "service": call.place.services[role], "error": str(error)}


def exit_status(data: dict[str, Any]) -> int:
    return codes.FAILED if any("error" in found for found in data["services"]) else codes.OK


render = configuration.render_all
