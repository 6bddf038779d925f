# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Go to another role's container: a prompt with the commands you have there.

With a command, that one runs there and nothing else.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from typing import Any

from ....module_utils.errors import CommandError, DeniedError, UsageError
from ....module_utils.text import shown
from ...cli import output
from ...cli.call import MAX_LINE, UNREACHABLE, Call, Place, last_line
from ...cli.call import exit_status as shell_status
from ...cli.grammar import suggest
from ...cli.output import Style

EXAMPLES: list[str] = ["ssh-to developer", "ssh-to monitor status"]


def arguments(parser: argparse.ArgumentParser) -> None:
    role = parser.add_argument("role", metavar="ROLE", help="developer, monitor or autopilot")
    suggest(role, lambda place, _given: _reachable(place))
    command = parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="run only this there, with its arguments"
    )
    # argparse takes what is left for required, though it may be nothing.
    command.required = False
    suggest(command, lambda place, given: place.policy.commands(place.name, given[0].removeprefix("ssh-")))


def run(call: Call) -> dict[str, Any]:
    role = call.options.role.removeprefix("ssh-")
    policy = call.place.policy
    if role == call.place.name or call.place.name not in policy.callers(role):
        reachable = ", ".join(_reachable(call.place)) or "nobody"
        raise DeniedError(f"the {call.caller} has no way to {shown(role)}; there is one to {reachable}")
    service = call.place.services[role]
    words = call.options.command
    if words[:1] == ["--"]:
        del words[0]
    # sshd hands the line to the gate as it is: quoted here, split there, and no shell in between.
    line = [shlex.join(words)] if words else []
    if line and len(line[0].encode(errors="surrogateescape")) > MAX_LINE:
        raise UsageError(f"the command has more than {MAX_LINE} bytes; send text on the input")
    return {"service": service, "status": _connected(service, line, interactive=call.terminal and not line)}


def render(data: dict[str, Any], style: Style) -> str:
    return ""


def exit_status(data: dict[str, Any]) -> int:
    return int(data["status"])


def _reachable(place: Place) -> list[str]:
    """The places whose gate admits this one."""
    return sorted(other for other in place.services if place.name in place.policy.callers(other))


def _connected(service: str, line: list[str], *, interactive: bool) -> int:
    """Let ssh speak to the other side and return how that ended there."""
    command = ["ssh", "-t" if interactive else "-T", "-o", "BatchMode=yes", "--", service, *line]
    try:
        # What ssh has to say of the connection becomes one line, what the command there says is passed on.
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}") from error
    if done.returncode == UNREACHABLE:
        reason = last_line(done.stderr).rstrip(".") or "the connection was closed"
        raise CommandError(f"{service} cannot be reached: {reason}; see 'status'")
    said = done.stderr.decode(errors="replace").rstrip("\n")
    if said and not interactive and sys.stderr is not None:
        output.write(sys.stderr, said)
    return shell_status(done.returncode)
