# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Go to another role's container: a prompt with the commands you have there.

With a command, that one runs there and nothing else.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
from typing import Any

from ....module_utils.errors import CommandError, DeniedError
from ....module_utils.text import shown
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES = ["ssh-to developer", "ssh-to monitor status"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", help="developer, monitor or autopilot")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run only this there")


def run(call: Call) -> dict[str, Any]:
    role = call.options.role.removeprefix("ssh-")
    policy = call.place.policy
    if role == call.place.name or call.place.name not in policy.callers(role):
        reachable = sorted(place for place in call.place.services if call.place.name in policy.callers(place))
        raise DeniedError(f"the {call.caller} has no way to {shown(role)}; there is one to {', '.join(reachable)}")
    service = call.place.services[role]
    command = ["ssh", *(["-t"] if call.terminal and not call.options.command else ["-T"]), "--", service]
    if call.options.command:
        command.append(shlex.join(call.options.command))
    try:
        return {"service": service, "status": subprocess.run(command, check=False).returncode}
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}") from error


def render(data: dict[str, Any], style: Style) -> str:
    return ""


def exit_status(data: dict[str, Any]) -> int:
    return int(data["status"])
