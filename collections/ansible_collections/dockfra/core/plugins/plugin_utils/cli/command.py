# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands on a role's PATH: each name there is a link to the program that calls `main`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ...module_utils.errors import DockfraError, UsageError
from . import codes, grammar, output, runner
from .call import CONFIGURATION, Place, StrPath
from .output import Style

# Called by these names it is no command but an answer about commands.
REFUSE = "dockfra-refuse"
LIST = "dockfra-commands"
COMPLETE = "dockfra-complete"


def main(arguments: Sequence[str], configuration: StrPath = CONFIGURATION) -> int:
    """Run the command that the program was called by and return its exit status."""
    name, *words = os.path.basename(arguments[0]), *arguments[1:]
    try:
        output.prepare()
        if name in (REFUSE, COMPLETE) and len(words) != 1:
            raise UsageError("it takes one argument, a command's name")
        place = Place.load(configuration)
        style = Style.of(sys.stdout)
        if name == REFUSE:
            from .gate import refuse  # no command needs the gate

            outcome = refuse(words[0], place.name, place)
        elif name == LIST:
            outcome = runner.Outcome(codes.OK, own_commands(place, style))
        elif name == COMPLETE:
            outcome = runner.Outcome(codes.OK, "\n".join(_completions(place, words[0])))
        else:
            terminal = output.is_terminal(sys.stdin) and output.is_terminal(sys.stdout)
            outcome = runner.run(place, place.name, [name, *words], output.standard_input(), style, terminal)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
        outcome = runner.Outcome(codes.status(error), "", codes.message(name, error))
    return runner.show(outcome)


def own_commands(place: Place, style: Style) -> str:
    """Return the list of the role's own commands, for its login message."""
    commands = []
    for name in grammar.own(place.name):
        # One that the policy has taken out, or that cannot be loaded, must not hide the others.
        with suppress(DockfraError, ImportError):
            commands.append((name, _find(place, name).summary))
    return "\n".join(["Commands (each has --help):", *runner.listed(commands, style)] if commands else [])


def _completions(place: Place, command: str) -> list[str]:
    return _find(place, command).words()


def _find(place: Place, command: str) -> grammar.Command:
    return grammar.find(command, place.policy.place(place.name, command), place.name)
