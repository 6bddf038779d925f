# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Extracts of the services' logs for a model: bounded, each line one line with its number, and nothing but data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...module_utils.errors import CommandError, DockfraError, UsageError
from ...module_utils.text import shown
from . import health, material, watched
from .engines import Engine

# Lines of one service that was named or does not work, and of each where all do; characters of a line, and bytes of all.
MANY, FEW = 300, 30
_LONGEST = 1000
_MOST = 96 * 1024

# Seconds for the log of one service.
_PATIENCE = 20.0


class Line(NamedTuple):
    """A line of a log: when it was written, and what it says."""

    time: str
    text: str


class Extract(NamedTuple):
    """The end of a service's log.

    Attributes:
        service: whose.
        lines: in the order of time; the first has the number 1.
        whole: whether these are all lines of the time that was asked about.
    """

    service: str
    lines: Sequence[Line]
    whole: bool

    def text(self) -> str:
        """Return it for a question."""
        lines = [f"{number:>4} {line.time} {line.text}" for number, line in enumerate(self.lines, 1)]
        return material.marked(f"log of {self.service}", "\n".join(lines))


def chosen(engines: Sequence[Engine], named: Sequence[str]) -> tuple[list[str], int]:
    """Return the services whose logs are looked at, and how many lines of each.

    Args:
        engines: where they run.
        named: by whoever asks; without any it is those that do not work, and where all do, all of them.

    Raises:
        UsageError: there is no such service.
    """
    known = sorted(service for engine in engines for service in engine.containers)
    for service in named:
        if service not in known:
            raise UsageError(f"there is no service {shown(service)}; there are {', '.join(known)}")
    if named:
        return list(dict.fromkeys(named)), MANY
    failing = [service for service in known if service in _failing()]
    return (failing, MANY) if failing else (known, FEW)


def fetch(
    engines: Sequence[Engine], services: Sequence[str], since: int, lines: int
) -> tuple[list[Extract], list[str]]:
    """Return the extracts of services, without those that wrote nothing, and what could not be fetched.

    Args:
        engines: where they run.
        services: whose.
        since: seconds to look back.
        lines: at most of each.

    Raises:
        CommandError: nothing could be fetched.
    """
    found, problems = [], []
    share = _MOST // len(services)
    for service in services:
        engine = next(engine for engine in engines if service in engine.containers)
        try:
            log = engine.logs(service, since=since, most=lines, timeout=_PATIENCE)
        except DockfraError as error:
            problems.append(f"{service}: {error}")
            continue
        kept = _bounded([Line(_second(time), _cut(text)) for time, text in log], share)
        if kept:
            found.append(Extract(service, kept, len(kept) < lines and len(kept) == len(log)))
    if problems and len(problems) == len(services):
        raise CommandError(f"no log can be fetched: {problems[0]}")
    return found, problems


def _failing() -> set[str]:
    """The services that do not work, as the watch has seen them last, or as they answer now."""
    seen: dict[str, Any] | None = watched.latest()
    try:
        services = seen["services"] if seen else health.services(health.Configuration.load(), 1.0)
    except CommandError:
        return set()  # nobody knows, so all are looked at
    return {
        str(entry.get("service"))
        for entry in services
        if entry.get("state") in (health.DEGRADED, health.DOWN)
    }


def _second(time: str) -> str:
    return f"{time[:19]}Z"


def _cut(text: str) -> str:
    line = material.plain(text.removesuffix("\r"))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


def _bounded(lines: Sequence[Line], most: int) -> list[Line]:
    """The last lines that have room in so many bytes."""
    kept: list[Line] = []
    for line in reversed(lines):
        most -= len(line.text.encode()) + 30
        if most < 0:
            break
        kept.append(line)
    return kept[::-1]
