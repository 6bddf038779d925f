# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs a command for a caller: the same steps for a person at home and for a caller at the gate."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from ...module_utils.errors import UsageError
from ...module_utils.processes import tree
from . import codes, grammar, output, remote, signals
from .call import Call, Place
from .events import RESULT, Events
from .grammar import Command
from .outcome import Outcome
from .output import Style

if TYPE_CHECKING:
    from .journal import Journal

# What every list of commands ends with.
HELP = ("help", "Show this list; help COMMAND says more about one")


def run(
    place: Place,
    caller: str,
    words: Sequence[str],
    stdin: IO[bytes],
    style: Style,
    terminal: bool = False,
    audited: bool = False,
) -> Outcome:
    """Run a command and return how it ended; never raises an error of the library, nor an unforeseen one.

    Args:
        place: this container.
        caller: who asks.
        words: the command and its arguments.
        stdin: its input.
        style: how to write for a person.
        terminal: whether a person sits in front of it.
        audited: whether the call leaves its line in the audit log already.
    """
    # What thousands of tickets are made of stays: with Python's 700, looking for garbage among it takes longer than to print it.
    gc.set_threshold(100_000)
    command = words[0]
    try:
        where = place.policy.place(caller, command) if caller == place.name else place.name
        place.policy.authorize(caller, where, command)
        found = grammar.find(command, where, caller)
        options = found.parse(words[1:], _host(place, caller, terminal))
        told = Events(options.json, found.streams(options))
        call = Call(command, caller, place, options, stdin, terminal, remote.ask, told)

        def work() -> Outcome:
            return _done(found, call, where, words, style)

        # What is done elsewhere leaves its line there.
        if not audited and caller == where and found.changes(options):
            return _journal(place).kept(command, words, work)
        return work()
    except grammar.HelpShown as shown:
        return Outcome(codes.OK, str(shown))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
        return Outcome(codes.status(error), "", codes.message(command, error))


def show(outcome: Outcome) -> int:
    """Print how a command ended and return its exit status."""
    try:
        output.put(sys.stdout, outcome.text)
        output.put(sys.stderr, outcome.message)
    except BrokenPipeError:
        pass  # The reader has what it wanted (ticket-list | head).
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except OSError as error:
        with suppress(OSError):  # There may be nobody left to tell.
            output.put(sys.stderr, codes.line("error", f"the output cannot be written: {error.strerror}"))
        return outcome.status or codes.FAILED
    return outcome.status


def _host(place: Place, caller: str, terminal: bool) -> str:
    """The host in whose ssh line the words stood, where ssh took a level of quotes from them."""
    at_prompt = terminal if caller != place.name else "SSH_TTY" in os.environ
    return place.service if "SSH_CONNECTION" in os.environ and not at_prompt else ""


def _journal(place: Place) -> Journal:
    """What keeps the calls of the people at home."""
    from ...module_utils.audit.log import AuditLog  # most calls change nothing
    from .journal import Journal, log_path

    return Journal(AuditLog(log_path(place.service)), place.name, place.name)


def _done(command: Command, call: Call, where: str, words: Sequence[str], style: Style) -> Outcome:
    """Let a command do its work, where it lives; what it has started does not outlive an end from outside."""
    try:
        with signals.limited(command.time_limit):
            if command.stream is not None:
                return Outcome(_streamed(command.stream, call, where))
            if where == call.place.name:
                return _finished(command, command.run(call), call.options, style)
            return _forwarded(command, call, where, words, style)
    except BaseException:
        tree.end()
        raise


def _streamed(stream: Callable[[Call], int], call: Call, where: str) -> int:
    """Run a command that has the process's input and output for itself."""
    if where != call.place.name or call.terminal:
        raise UsageError(f"{call.command} is spoken by programs, which connect to the {where} themselves")
    return stream(call)


def _forwarded(command: Command, call: Call, where: str, words: Sequence[str], style: Style) -> Outcome:
    """Run a command where it lives. Its arguments were checked here first, so a slip costs no connection."""
    text = call.input() if command.reads_input(call.options) else None
    data, status, message = remote.request(call.place, where, words, text, call.pass_on)
    if data is None:
        prefix = "denied" if status == codes.DENIED else call.command
        return Outcome(status or codes.FAILED, "", codes.line(prefix, message))
    outcome = _finished(command, data, call.options, style)
    return Outcome(status, outcome.text, codes.line(call.command, message) if message else "")


def _finished(command: Command, data: Any, options: argparse.Namespace, style: Style) -> Outcome:
    if not options.json:
        text = command.render(data, style)
    elif command.streams(options):
        text = json.dumps({"event": RESULT, "data": data}, ensure_ascii=False)
    else:
        text = json.dumps(data, ensure_ascii=False, indent=2)
    return Outcome(command.exit_status(data), text)


def help_text(place: Place, caller: str, style: Style) -> str:
    """Return the list of what a caller may run at a place, each with what it does."""
    commands = [*available(place, caller), HELP]
    return "\n".join(
        [f"Commands of the {caller} at {place.service} (COMMAND --help says more):", *listed(commands, style)]
    )


def listed(commands: Iterable[tuple[str, str]], style: Style) -> list[str]:
    """Return lines that name commands, each with what it does."""
    return [
        f"  {style.paint(command.ljust(16), 'bold')}  {output.beside(summary, 20, style.width)}"
        for command, summary in commands
    ]


def available(place: Place, caller: str) -> list[tuple[str, str]]:
    """The commands that a caller may run here and that have come to this platform, each with its summary."""
    found = []
    for command in place.policy.commands(caller, place.name):
        try:
            found.append((command, grammar.find(command, place.name, caller).summary))
        except Exception:  # noqa: BLE001, S112  one that cannot be loaded must not hide the others
            continue
    return found
