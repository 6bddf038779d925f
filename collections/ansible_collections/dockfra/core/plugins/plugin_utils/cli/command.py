# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands on a role's PATH: each name there is a link to the program that calls `main`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ...module_utils.errors import DockfraError
from . import codes, gate, grammar, runner
from .call import CONFIGURATION, Place
from .output import Style

# Called by these names it is no command but an answer about commands.
REFUSE = "dockfra-refuse"
LIST = "dockfra-commands"
COMPLETE = "dockfra-complete"


def main(arguments: Sequence[str], configuration: Path = CONFIGURATION) -> int:
    """Run the command that the program was called by and return its exit status."""
    name, *words = Path(arguments[0]).name, *arguments[1:]
    try:
        place = Place.load(configuration)
        style = Style.of(sys.stdout)
        if name == REFUSE:
            outcome = gate.refuse(words[0], place.name, place)
        elif name == LIST:
            outcome = runner.Outcome(codes.OK, own_commands(place, style))
        elif name == COMPLETE:
            outcome = runner.Outcome(codes.OK, "\n".join(_completions(place, words[0])))
        else:
            terminal = sys.stdin.isatty() and sys.stdout.isatty()
            outcome = runner.run(place, place.name, [name, *words], sys.stdin.buffer, style, terminal)
    except DockfraError as error:
        outcome = runner.Outcome(codes.status(error), "", codes.message(name, error))
    return gate.show(outcome)


def own_commands(place: Place, style: Style) -> str:
    """Return the list of the role's own commands, for its login message."""
    commands = [(name, _find(place, name).summary) for name in grammar.own(place.name)]
    return "\n".join(["Commands (each has --help):", *runner.listed(commands, style)] if commands else [])


def _completions(place: Place, command: str) -> list[str]:
    return _find(place, command).words()


def _find(place: Place, command: str) -> grammar.Command:
    return grammar.find(command, place.policy.place(place.name, command), place.name)
