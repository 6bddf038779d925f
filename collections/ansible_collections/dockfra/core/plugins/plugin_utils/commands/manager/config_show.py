# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the settings of all roles, or of one; of a secret only whether it is set."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ....module_utils.errors import CommandError, DockfraError
from ....module_utils.policy.roles import ROLES
from ...cli import codes, configuration
from ...cli.call import Call
from ...cli.grammar import choices

EXAMPLES: list[str] = ["config-show", "config-show developer", "config-show ssh-monitor --json"]

ALL = "all"


def arguments(parser: argparse.ArgumentParser) -> None:
    names = (ALL, *ROLES, *(f"ssh-{role}" for role in ROLES))
    parser.add_argument("service", nargs="?", default=ALL, help="whose; all by default", **choices(names))


def run(call: Call) -> dict[str, Any]:
    wanted = call.options.service.removeprefix("ssh-")
    roles = [role for role in ROLES if wanted in (ALL, role) and role in call.place.services]
    if not roles:
        raise CommandError(f"this platform has no {wanted}")
    # Each waits for its own container, and one that is down keeps nobody else waiting.
    with ThreadPoolExecutor(len(roles)) as pool:
        return {"services": list(pool.map(lambda role: _found(call, role), roles))}


def _found(call: Call, role: str) -> dict[str, Any]:
    try:
        return configuration.read(call, role)
    except DockfraError as error:
        return {"role": role, "service": call.place.services[role], "error": str(error)}


def exit_status(data: dict[str, Any]) -> int:
    return codes.FAILED if any("error" in found for found in data["services"]) else codes.OK


render = configuration.render_all
