# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands on a role's PATH: each name there is a link to the program that calls `main`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ...module_utils.errors import DockfraError, UsageError
from . import codes, grammar, output, runner, signals
from .call import CONFIGURATION, Place, StrPath
from .outcome import Outcome
from .output import Style

# The directory of a role's commands, which each start of its container makes anew, and what each of them is a link to.
PATH = "/run/dockfra-commands"
PROGRAM = "/usr/local/lib/dockfra/command"

# Called by these names it is no command but an answer about commands.
REFUSE = "dockfra-refuse"
LIST = "dockfra-commands"
COMPLETE = "dockfra-complete"


def main(arguments: Sequence[str], configuration: StrPath = CONFIGURATION) -> int:
    """Run the command that the program was called by and return its exit status."""
    name, *words = os.path.basename(arguments[0]), *arguments[1:]
    signals.install()
    try:
        output.prepare()
        if (name == REFUSE and len(words) != 1) or (name == COMPLETE and not words):
            raise UsageError("it takes a command's name")
        place = Place.load(configuration)
        style = Style.of(sys.stdout)
        if name == REFUSE:
            from .gate import refuse  # no command needs the gate

            outcome = refuse(words[0], place.name, place)
        elif name == LIST:
            outcome = Outcome(codes.OK, own_commands(place, style))
        elif name == COMPLETE:
            outcome = Outcome(codes.OK, "\n".join(_completions(place, words)))
        else:
            terminal = output.is_terminal(sys.stdin) and output.is_terminal(sys.stdout)
            outcome = runner.run(place, place.name, [name, *words], output.standard_input(), style, terminal)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
        outcome = Outcome(codes.status(error), "", codes.message(name, error))
    return runner.show(outcome)


def link(place: Place, directory: StrPath = PATH) -> None:
    """Make the directory on the role's PATH: a link for each of its commands, by the policy, and nothing else."""
    os.makedirs(directory, 0o755, exist_ok=True)
    names, there = set(grammar.own(place.policy, place.name)), set(os.listdir(directory))
    for name in there - names:
        os.unlink(os.path.join(directory, name))
    for name in names - there:
        os.symlink(PROGRAM, os.path.join(directory, name))


def own_commands(place: Place, style: Style) -> str:
    """Return the list of the role's own commands, for its login message."""
    commands = []
    for name in grammar.own(place.policy, place.name):
        # One that cannot be loaded must not hide the others.
        with suppress(DockfraError, ImportError):
            commands.append((name, _find(place, name).summary))
    if not commands:
        return ""
    return "\n".join(["Commands (each has --help):", *runner.listed([*commands, runner.HELP], style)])


def _completions(place: Place, words: Sequence[str]) -> list[str]:
    """What bash may put in the place of the last word; it takes what stands before and after a = for words of their own."""
    joined = [words[0]]
    for word in words[1:]:
        if len(joined) > 1 and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    command, *given = joined
    current = given[-1] if given else ""
    found = _find(place, command).completions(place, given or [""])
    return [word[current.find("=") + 1 :] for word in found]


def _find(place: Place, command: str) -> grammar.Command:
    return grammar.find(command, place.policy.place(place.name, command), place.name)
