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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple, NoReturn, TypeAlias

from ...module_utils.errors import CommandError, LateError, PolicyError, UsageError
from ...module_utils.policy.model import Policy
from . import events
from .output import is_terminal

StrPath: TypeAlias = "str | os.PathLike[str]"

CONFIGURATION = "/etc/dockfra/gate/policy.json"

# The longest input a command reads: four times the longest text of a ticket, which may have 4 bytes a character.
MAX_INPUT = 1024 * 1024

# Seconds in which a caller from elsewhere has to have sent it: whoever waits for it takes room in another's container.
INPUT_TIMEOUT = 60.0


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

    def named(self, word: str) -> str:
        """Return the place that somebody means by its name or by its service's; other words as they are."""
        return next((place for place, service in self.services.items() if word in (place, service)), word)


def _nowhere(_home: Place, place: str, _words: Sequence[str], _text: str | None) -> NoReturn:
    raise CommandError(f"there is no way to {place} from here")


class Call:
    """One call of a command.

    Args:
        command: its name.
        caller: who asks; at home the place itself.
        place: where it runs.
        options: the parsed arguments.
        stdin: the input, binary.
        terminal: whether a person sits in front of it.
        ask: the way to other containers, see `ask`; takes the place to come from as its first argument.
        told: where goes what the command tells while it works.
    """

    def __init__(
        self,
        command: str,
        caller: str,
        place: Place,
        options: argparse.Namespace,
        stdin: IO[bytes],
        terminal: bool = False,
        ask: Callable[[Place, str, Sequence[str], str | None], Any] = _nowhere,
        told: events.Events | None = None,
    ) -> None:
        self.command = command
        self.caller = caller
        self.place = place
        self.options = options
        self.stdin = stdin
        self.terminal = terminal
        self._input: bytes | None = None
        self._ask = ask
        self._events = told or events.Events()

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
        return self._ask(self.place, place, words, text)

    def tell(self, text: str, **data: Any) -> None:
        """Tell whoever waits how the work goes: a line on standard error, and with ``--json`` one for programs.

        Whether somebody still reads that makes no difference for the work: the end of a connection is told by a signal.

        Args:
            text: the line.
            data: what else programs get.
        """
        with suppress(BrokenPipeError):
            self._events.put({"event": events.PROGRESS, "text": text, **data})

    def pass_on(self, event: Mapping[str, Any]) -> None:
        """Tell what the command told at the place where it runs."""
        self._events.put(event)

    def write(self, text: str, **data: Any) -> None:
        """Write a part of what was asked for while the rest is still to come; see `tell`."""
        self._events.put({"event": events.OUTPUT, "text": text, **data})


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
