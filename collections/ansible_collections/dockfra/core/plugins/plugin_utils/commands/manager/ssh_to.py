# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Go to another role's container: a prompt with the commands you have there.

With a command, that one runs there and nothing else.
"""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from typing import Any

from ....module_utils.errors import CommandError, DeniedError
from ....module_utils.policy.roles import ROLES
from ....module_utils.text import shown
from ...cli import relay, remote
from ...cli.call import Call, Place
from ...cli.grammar import suggest
from ...cli.output import Style

EXAMPLES: list[str] = ["ssh-to developer", "ssh-to monitor status"]

# As long as somebody is there, and as the command there may take.
TIME_LIMIT = None


def arguments(parser: argparse.ArgumentParser) -> None:
    role = parser.add_argument("role", metavar="ROLE", help="developer, monitor or autopilot")
    suggest(role, lambda place, _given: _reachable(place))
    command = parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="run only this there, with its arguments"
    )
    # argparse takes what is left for required, though it may be nothing.
    command.required = False
    suggest(command, lambda place, given: place.policy.commands(place.name, place.named(given[0])))


def run(call: Call) -> dict[str, Any]:
    role = call.place.named(call.options.role)
    reachable = _reachable(call.place)
    if role not in reachable:
        raise DeniedError(
            f"the {call.caller} has no way to {shown(role)}; there is one to {', '.join(reachable) or 'nobody'}"
        )
    service = call.place.services[role]
    words = call.options.command
    if words[:1] == ["--"]:
        del words[0]
    line = [remote.line(*words)] if words else []
    return {"service": service, "status": _connected(service, line, interactive=call.terminal and not line)}


def render(data: dict[str, Any], style: Style) -> str:
    return ""


def exit_status(data: dict[str, Any]) -> int:
    return int(data["status"])


def _reachable(place: Place) -> list[str]:
    """The other roles whose gate admits this place; for what is nobody's role there are commands, and no way to go there."""
    roles = (other for other in place.services if other in ROLES)
    return sorted(other for other in roles if place.name in place.policy.callers(other))


def _connected(service: str, line: list[str], *, interactive: bool) -> int:
    """Let ssh speak to the other side and return how that ended there."""
    # The prompt's line editor gets a terminal that has no more abilities than are let through.
    environment = {**os.environ, "TERM": "dumb"} if interactive else None
    with _Words() as words:
        command = [
            "ssh",
            "-t" if interactive else "-T",
            "-E",
            words.path,
            "-o",
            "BatchMode=yes",
            "--",
            service,
            *line,
        ]
        try:
            status = relay.run(command, environment, editing=interactive)
        except OSError as error:
            raise CommandError(f"ssh cannot be started: {error.strerror}") from error
        if status == remote.UNREACHABLE:
            raise remote.unreachable(service, remote.last_line(words.read()))
    return status


class _Words:
    """What ssh itself has to say, apart from what the command there says."""

    def __enter__(self) -> _Words:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)  # what is too much is lost
        # ssh opens it, but keeps no open file that it was started with.
        self.path = f"/proc/{os.getpid()}/fd/{self._write}"
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._read)
        os.close(self._write)

    def read(self) -> bytes:
        with suppress(BlockingIOError):
            return os.read(self._read, 64 * 1024)
        return b""
