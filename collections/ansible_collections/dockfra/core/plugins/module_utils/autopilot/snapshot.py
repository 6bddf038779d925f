# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the platform is in one cycle, typed, and the evidence that it gives.

What others wrote (titles and texts of tickets, messages of commits, lines of logs) is no part of it: nothing that is decided here
can depend on it. A planner that reads such text cites it as evidence that was *told*; what was *measured* is made here, of states,
exit codes, HTTP statuses and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ..probes.probe import NAMELESS, REFUSED
from .inventory import ALL, key

# What was measured, and what somebody told: only the first is a reason to change something.
MEASURED = ("container", "probe", "http", "deploy", "git", "room")
# What a role's own container says of its settings can be made up by that role, so it is told.
TOLD = ("ticket", "log", "commit", "issue", "settings")

# Seconds after which what was measured is none of this cycle.
FRESH = 60.0

# The label of a ticket that a model had made; that of the rules is ``by-rules`` (see the playbook ticket-create).
BY_MODEL = "by-llm"

_STATUS = re.compile(r"HTTP ([1-5][0-9]{2})\b", re.ASCII)


@dataclass(frozen=True)
class Container:
    """A container as the Docker Engine has it.

    Attributes:
        state: running, exited, restarting, …
        health: healthy, unhealthy or starting; empty where it has no health check.
        exit_code: of its last end.
    """

    state: str
    health: str = ""
    exit_code: int = 0


# What is said of a port that nobody gets to.
AWAY = {REFUSED: "nobody listens", NAMELESS: "on no network of the monitor"}


@dataclass(frozen=True)
class Probe:
    """How one port of a service answered.

    Attributes:
        port: its name.
        state: up, unknown, degraded or down.
        status: of HTTP, 0 for none.
        away: why nobody gets there, where a restart of the container would not mend that: a key of `AWAY`; else empty.
    """

    port: str
    state: str
    status: int = 0
    away: str = ""


@dataclass(frozen=True)
class Service:
    """A service.

    Attributes:
        name: its name.
        state: up, unknown, degraded or down.
        since: when that began, seconds since the epoch.
        probes: how its ports answered.
        container: None where nobody has said.
        room: percent of the fullest of its stores; 0 where nobody has said.
        cleanable: releases that nothing needs any more.
        misconfigured: whether its container says that a setting of its role cannot be used.
    """

    name: str
    state: str
    since: float
    probes: tuple[Probe, ...] = ()
    container: Container | None = None
    room: int = 0
    cleanable: int = 0
    misconfigured: bool = False

    @property
    def fault(self) -> str:
        """What is wrong with it, in one of the words of `facts`."""
        container = self.container
        if container and container.state in ("exited", "dead", "created", "paused"):
            return "stopped"
        if self.state in ("up", "unknown") and not (container and container.health == "unhealthy"):
            return "none"
        if container and container.state == "running" and any(probe.away for probe in self.probes):
            # A supervisor starts an SSH server again and again. To start the container anew would do no more, and end all sessions.
            # Nor would it bring it back to a network.
            return "unreachable"
        if container and (container.health == "unhealthy" or container.state == "restarting"):
            return "unhealthy"
        if any(probe.status >= 500 for probe in self.probes):
            return "unhealthy"
        return "unreachable" if container else "unknown"


@dataclass(frozen=True)
class Ticket:
    """A ticket, without what people wrote into it.

    Attributes:
        labels: those of them that the inventory and the autopilot know; all others are text.
        updated: when it was last changed, seconds since the epoch.
    """

    id: str
    status: str
    priority: str
    assigned_to: str = ""
    labels: tuple[str, ...] = ()
    created_by: str = ""
    updated: float = 0.0

    @property
    def of_a_model(self) -> bool:
        """Whether a model had it made."""
        return BY_MODEL in self.labels


@dataclass(frozen=True)
class Deploy:
    """A deploy or a rollback; times are seconds since the epoch, ``result`` is the monitor's word."""

    id: str
    target: str
    services: tuple[str, ...]
    commit: str
    result: str
    started: float
    seconds: float = 0.0

    @property
    def ended(self) -> float:
        return self.started + self.seconds


@dataclass(frozen=True)
class Budget:
    """What of today's may still be spent on a model."""

    tokens: int = 0
    cost: float = 0.0

    @property
    def spent(self) -> bool:
        return self.tokens <= 0 or self.cost <= 0


class Evidence(NamedTuple):
    """A reason for an action.

    Attributes:
        id: how a plan cites it.
        kind: one of `MEASURED` or `TOLD`.
        about: a service, a target or a ticket as `inventory.key` names it, or ``main``.
        says: the values, in words of our own.
        age: seconds since it was seen.
    """

    id: str
    kind: str
    about: str
    says: str
    age: float

    @property
    def measured(self) -> bool:
        """Whether it is a reason to change something."""
        return self.kind in MEASURED and 0 <= self.age <= FRESH


@dataclass(frozen=True)
class Snapshot:
    """How everything is.

    Attributes:
        cycle: the number of the cycle that gathered it.
        time: when, seconds since the epoch.
        services: all services, by name.
        tickets: those that are not closed, by id.
        deploys: the latest, the newest first.
        main: the commit of the origin's main branch; empty where that cannot be told.
        budget: what of today's is left for a model.
        age: seconds since the services were seen.
        told: what a planner was shown of what others wrote; whatever it claims to be, it is never a reason to change something.
    """

    cycle: int
    time: float
    services: Mapping[str, Service]
    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    deploys: tuple[Deploy, ...] = ()
    main: str = ""
    budget: Budget = Budget()
    age: float = 0.0
    told: tuple[Evidence, ...] = ()

    @cached_property
    def evidence(self) -> Mapping[str, Evidence]:
        """All evidence by its id."""
        said = {entry.id: entry for entry in self.told if entry.kind in TOLD}
        return said | {entry.id: entry for entry in self._evidence()}

    @cached_property
    def tickets_about(self) -> Mapping[str, tuple[Ticket, ...]]:
        """The open tickets that the autopilot made of a service."""
        found: dict[str, list[Ticket]] = {}
        for ticket in self.tickets.values():
            if ticket.created_by == "autopilot":
                for label in ticket.labels:
                    found.setdefault(label, []).append(ticket)
        return {name: tuple(tickets) for name, tickets in found.items()}

    @cached_property
    def under_way(self) -> tuple[Deploy, ...]:
        """The deploys that run."""
        return tuple(deploy for deploy in self.deploys if deploy.result == "running")

    def latest(self, target: str, members: Collection[str]) -> Deploy | None:
        """The last deploy of a target: its own, or one of all that was to change a service of it.

        Args:
            target: it.
            members: its services.
        """
        for deploy in self.deploys:
            if deploy.target == target or (
                deploy.target == ALL and not set(members).isdisjoint(deploy.services)
            ):
                return deploy
        return None

    def _evidence(self) -> Iterator[Evidence]:
        for service in self.services.values():
            yield from self._of_service(service)
        for deploy in reversed(self.deploys):
            says = f"{deploy.target} {deploy.commit[:12] or 'image'}: {deploy.result}"
            yield Evidence(f"deploy/{deploy.target}", "deploy", key("target", deploy.target), says, self.age)
        if self.main:
            yield Evidence("git/main", "git", "main", self.main[:12], self.age)
        for ticket in self.tickets.values():
            says = f"{ticket.status}, {ticket.priority}"
            yield Evidence(f"ticket/{ticket.id}", "ticket", key("ticket", ticket.id), says, self.age)

    def _of_service(self, service: Service) -> Iterator[Evidence]:
        name, about = service.name, key("service", service.name)
        if container := service.container:
            says = f"{container.state} {container.health}".strip()
            if container.state != "running":
                says += f", exit code {container.exit_code}"
            yield Evidence(f"container/{name}", "container", about, says, self.age)
        for probe in service.probes:
            kind = "http" if probe.status else "probe"
            says = f"{probe.state}, HTTP {probe.status}" if probe.status else probe.state
            says += f", {AWAY[probe.away]}" if probe.away else ""
            yield Evidence(f"{kind}/{name}/{probe.port}", kind, about, says, self.age)
        if service.room:
            says = f"{service.room} % full, {service.cleanable} old releases"
            yield Evidence(f"room/{name}", "room", about, says, self.age)
        if service.misconfigured:
            says = "a line of its settings cannot be used"
            yield Evidence(f"settings/{name}", "settings", about, says, self.age)


def http_status(detail: str) -> int:
    """Return the status that a probe's own words name, 0 for none."""
    match = _STATUS.match(detail)
    return int(match[1]) if match else 0
