# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a command gets to work with: who asks, where it runs, what was asked, and the way to the other containers."""

from __future__ import annotations

import argparse
import io
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple, TypeAlias

from ...module_utils.errors import CommandError, DeniedError, LateError, PolicyError, UsageError
from ...module_utils.policy.model import Policy
from .codes import DENIED, USAGE
from .output import is_terminal

StrPath: TypeAlias = "str | os.PathLike[str]"

CONFIGURATION = "/etc/dockfra/gate/policy.json"

# The longest input a command reads: four times the longest text of a ticket, which may have 4 bytes a character.
MAX_INPUT = 1024 * 1024

# Seconds in which a caller from elsewhere has to have sent it: whoever waits for it takes room in another's container.
INPUT_TIMEOUT = 60.0

# The longest line that reaches another place: sshd hands it over as SSH_ORIGINAL_COMMAND=…, and Linux ends a string of the
# environment at 128 KiB (execve(2)).
MAX_LINE = 128 * 1024 - 32

# Seconds to wait for an answer. The longest commands talk to services outside.
PATIENCE = 600

# What ssh exits with when it could not connect (ssh(1)).
UNREACHABLE = 255


class Place(NamedTuple):
    """The container a command runs in.

    Attributes:
        name: what the policy calls it, for example ``manager``.
        service: the service's name, for example ``ssh-manager``.
        policy: the policy of the platform.
        services: the service's name of every place.
    """

    name: str
    service: str
    policy: Policy
    services: Mapping[str, str]

    @classmethod
    def load(cls, path: StrPath = CONFIGURATION) -> Place:
        """Read what the role ``dockfra.core.gate`` has written; raises PolicyError."""
        try:
            with open(path, "rb") as file:
                data = json.load(file)
            return cls(data["place"], data["service"], Policy.from_dict(data), data["services"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PolicyError(f"{path} cannot be read ({error}); run site.yml again.") from error


class Call:
    """One call of a command.

    Args:
        command: its name.
        caller: who asks; at home the place itself.
        place: where it runs.
        options: the parsed arguments.
        stdin: the input, binary.
        terminal: whether a person sits in front of it.
    """

    def __init__(
        self,
        command: str,
        caller: str,
        place: Place,
        options: argparse.Namespace,
        stdin: IO[bytes],
        terminal: bool = False,
    ) -> None:
        self.command = command
        self.caller = caller
        self.place = place
        self.options = options
        self.stdin = stdin
        self.terminal = terminal
        self._input: bytes | None = None

    def input(self) -> str:
        """Return all of the standard input as text.

        Raises:
            UsageError: it is too long or no UTF-8, or there is none to read.
            LateError: a caller from elsewhere has not sent all of it in time.
            CommandError: the system refuses.
        """
        if self._input is None:
            if is_terminal(self.stdin) and sys.stderr is not None:
                print("Type the text; Ctrl-D on a line of its own ends it.", file=sys.stderr)
            try:
                at_home = self.caller == self.place.name
                self._input = self.stdin.read(MAX_INPUT + 1) if at_home else _received(self.stdin)
            except OSError as error:
                raise CommandError(f"the input cannot be read: {error.strerror}") from error
        if len(self._input) > MAX_INPUT:
            raise UsageError(f"the input has more than {MAX_INPUT} bytes; send less")
        try:
            return self._input.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"the input is no UTF-8 text ({error.reason} at byte {error.start})") from error

    def ask(self, place: str, words: Sequence[str], text: str | None = None) -> Any:
        """Run a command at another place, through its gate, and return its data.

        Args:
            place: where.
            words: the command and its arguments.
            text: its standard input.

        Raises:
            CommandError, DeniedError, UsageError: what the command ended with there, or that it cannot be reached.
        """
        return ask(self.place, place, words, text)


def _received(stdin: IO[bytes]) -> bytes:
    """Return all of the input, as far as it may go and a byte more; raises LateError when it does not end in time."""
    try:
        descriptor = stdin.fileno()
    except io.UnsupportedOperation:  # it is in memory
        return stdin.read(MAX_INPUT + 1)
    deadline = time.monotonic() + INPUT_TIMEOUT
    data = b""
    while len(data) <= MAX_INPUT:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise LateError(f"the input did not end within {INPUT_TIMEOUT:g} s; send it again, all at once")
        part = os.read(descriptor, MAX_INPUT + 1 - len(data))
        if not part:
            break
        data += part
    return data


def ask(home: Place, place: str, words: Sequence[str], text: str | None = None) -> Any:
    """See `Call.ask`."""
    data, code, message = request(home, place, words, text)
    if code == DENIED:
        raise DeniedError(message)
    if code == USAGE:
        raise UsageError(message)
    if data is None:
        raise CommandError(message)
    return data


def request(home: Place, place: str, words: Sequence[str], text: str | None = None) -> tuple[Any, int, str]:
    """Run a command at another place and return (its data or None, its exit status, its message)."""
    import shlex  # most commands run at home
    import subprocess

    service = home.services.get(place)
    if service is None:
        raise CommandError(f"there is no {place} on this platform; run site.yml again")
    # sshd hands the line to the gate as it is: quoted here, split there, and no shell in between.
    line = shlex.join([words[0], "--json", *words[1:]])
    if len(line.encode(errors="surrogateescape")) > MAX_LINE:
        raise UsageError(f"the arguments have more than {MAX_LINE} bytes; send text on the input")
    command = ["ssh", "-T", "-o", "BatchMode=yes", "--", service, line]
    try:
        done = subprocess.run(
            command, input=(text or "").encode(), capture_output=True, check=False, timeout=PATIENCE
        )
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}; see 'ssh {service}'") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{service} did not answer in {PATIENCE} s; see 'status'") from error
    message = last_line(done.stderr)
    if done.returncode == UNREACHABLE:
        raise CommandError(
            f"{service} cannot be reached: {message.rstrip('.') or 'the connection was closed'}; see 'status'"
        )
    try:
        data = json.loads(done.stdout) if done.stdout.strip() else None
    except ValueError as error:
        raise CommandError(f"{service} gave an answer that is no JSON; run site.yml again") from error
    return data, exit_status(done.returncode), message


def exit_status(code: int) -> int:
    """What a shell makes of a process's end: one that a signal ended has 128 and its number."""
    return 128 - code if code < 0 else code


def last_line(output: bytes) -> str:
    """The message without what marks it for people (see `codes.message`)."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].partition(": ")[2] or lines[-1] if lines else ""
