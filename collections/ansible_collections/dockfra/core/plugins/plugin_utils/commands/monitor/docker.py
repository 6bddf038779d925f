# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask Docker about this platform's containers, and start, stop or restart one.

This is Docker's own client behind a gateway, which passes these and nothing else:
  ps        list the platform's containers
  logs      show what one has written; -f follows
  inspect   show all that Docker knows of one
  top       show its processes
  stats     show what it uses
  events    show what happens to them
  version   show the versions of client and engine
  start, stop, restart
Options follow the verb, as Docker's own help of each says (docker ps --help). What changes something is in the audit log.
Where there are several Docker hosts, ps asks each of them, and the others the one that has the container that is named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from ....module_utils.errors import CommandError, DeniedError
from ....module_utils.processes import child
from ....module_utils.text import shown
from ...cli import engines, relay
from ...cli.call import Call
from ...cli.grammar import suggest
from ...cli.output import Style, is_terminal

EXAMPLES: list[str] = [
    "docker ps",
    "docker logs -f --tail 20 dockfra-backend",
    "docker restart dockfra-backend",
]

# As long as somebody follows; the gateway has limits of its own.
TIME_LIMIT = None

READING = ("ps", "logs", "inspect", "top", "stats", "events", "version")
CHANGING = ("start", "stop", "restart")


def arguments(parser: argparse.ArgumentParser) -> None:
    verb = parser.add_argument("verb", metavar="VERB", help=f"one of {', '.join((*READING, *CHANGING))}")
    suggest(verb, lambda _place, _given: (*READING, *CHANGING))
    words = parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="…",
        help="containers and options, as Docker's client takes them",
    )
    # argparse takes what is left for required, though it may be nothing.
    words.required = False
    suggest(words, lambda _place, _given: _containers())


def changes(options: argparse.Namespace) -> bool:
    return options.verb not in READING


def run(call: Call) -> dict[str, Any]:
    verb, words = call.options.verb, call.options.words
    if verb not in (*READING, *CHANGING):
        raise DeniedError(
            f"docker {shown(verb)} is for nobody on this platform; there are {', '.join((*READING, *CHANGING))}"
        )
    found = engines.load()
    asked = found if verb == "ps" and "--help" not in words else [engines.of_words(found, words)]
    try:
        ended = [_shown(verb, [engines.PROGRAM, verb, *words], engine.environment) for engine in asked]
        return {"status": max(ended)}
    except OSError as error:
        raise CommandError(f"{engines.PROGRAM} cannot be started: {error.strerror}") from error


def render(data: dict[str, Any], style: Style) -> str:
    return ""


def exit_status(data: dict[str, Any]) -> int:
    return int(data["status"])


def _shown(verb: str, command: list[str], environment: Mapping[str, str]) -> int:
    """Let the client speak to whoever called. What containers say may hold what a terminal would obey, and is filtered."""
    if verb == "stats" and is_terminal(sys.stdout):
        # It draws its table anew each second; names and numbers are all that stands in it.
        with child.started(command, env=environment) as process:
            return child.exit_status(process.wait())
    return relay.run(command, environment)


def _containers() -> list[str]:
    try:
        found = engines.load()
    except CommandError:
        return []
    return sorted(name for engine in found for name in engine.containers.values())
