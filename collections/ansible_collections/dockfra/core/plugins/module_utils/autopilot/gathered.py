# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes a snapshot of what the gates answered: each part in its form and bounded, and nothing of what people wrote."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..audit.limits import SETTINGS, WARNED
from ..errors import SnapshotError
from ..probes.probe import NAMELESS, REFUSED
from ..text import finite
from ..tickets import values
from .inventory import Inventory
from .snapshot import BY_MODEL, Budget, Container, Deploy, Probe, Service, Snapshot, Ticket, http_status

MOST_TICKETS = 10_000
MOST_DEPLOYS = 50
STATES = ("up", "unknown", "degraded", "down")
# The label of what the autopilot made.
LABEL = "autopilot"


def snapshot(
    inventory: Inventory,
    cycle: int,
    now: float,
    status: Mapping[str, Any],
    tickets: Mapping[str, Any],
    git: Mapping[str, Any],
    budget: Budget | None = None,
) -> Snapshot:
    """Return how the platform is.

    Args:
        inventory: what there is; all else that answers name is left out.
        cycle: the number of the cycle.
        now: seconds since the epoch.
        status: the monitor's answer to ``status --json``.
        tickets: the manager's to ``ticket-list --json``.
        git: the origin's to ``git-status --json``.
        budget: what is left for a model today.

    Raises:
        SnapshotError: an answer has another form.
    """
    try:
        misconfigured = _misconfigured(status)
        services = {
            str(entry["service"]): _service(entry, now, misconfigured)
            for entry in status["services"]
            if entry["service"] in inventory.services
        }
        known = {LABEL, BY_MODEL, *inventory.services}
        listed: Sequence[Mapping[str, Any]] = tickets["tickets"][:MOST_TICKETS]
        main = git["main"]
        return Snapshot(
            cycle,
            now,
            services,
            {entry["id"]: _ticket(entry, known) for entry in listed if entry["status"] != "closed"},
            tuple(_deploy(entry, inventory) for entry in status.get("deploys", ())[:MOST_DEPLOYS]),
            str(main["commit"]) if main else "",
            budget or Budget(),
            finite(status.get("age", 0.0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SnapshotError(f"What was gathered has another form than it has to have ({error!r}).") from error


def _misconfigured(status: Mapping[str, Any]) -> set[str]:
    """The services whose guards said last that a setting cannot be used; see `limits.SETTINGS`."""
    said: dict[str, tuple[str, str]] = {}
    for entry in status.get("limits") or ():
        if str(entry["limit"]).startswith(SETTINGS):
            name, word = str(entry["service"]), (str(entry["time"]), str(entry["verdict"]))
            said[name] = max(word, said.get(name, word))
    return {name for name, (_time, verdict) in said.items() if verdict == WARNED}


def _service(entry: Mapping[str, Any], now: float, misconfigured: Collection[str]) -> Service:
    room = entry.get("room") or {}
    probes = tuple(map(_probe, entry["probes"]))
    return Service(
        str(entry["service"]),
        _state(entry["state"]),
        finite(entry.get("since") or now),
        probes,
        _container(entry.get("container")),
        int(room.get("used") or 0),
        int(room.get("cleanable") or 0),
        entry["service"] in misconfigured,
    )


def _probe(entry: Mapping[str, Any]) -> Probe:
    away = entry.get("away") or ""
    # A web service that nobody listens for may be there again after a restart.
    dead = away == NAMELESS or (away == REFUSED and entry.get("kind") == "ssh")
    status = http_status(str(entry["detail"]))
    return Probe(str(entry["port"])[:40], _state(entry["state"]), status, away if dead else "")


def _container(found: Mapping[str, Any] | None) -> Container | None:
    if not found:
        return None
    state, health = str(found["state"])[:20], str(found.get("health") or "")[:20]
    return Container(state, health, int(found.get("exit_code") or 0))


def _ticket(entry: Mapping[str, Any], known: Collection[str]) -> Ticket:
    return Ticket(
        values.clean_id(entry["id"]),
        values.clean_status(entry["status"]),
        values.clean_priority(entry["priority"]),
        values.clean_assignee(entry["assigned_to"]) or "",
        tuple(label for label in entry["labels"] if label in known),
        str(entry["created_by"])[:40],
        datetime.datetime.fromisoformat(entry["updated_at"]).timestamp(),
    )


def _deploy(entry: Mapping[str, Any], inventory: Inventory) -> Deploy:
    services = tuple(name for name in entry["services"] if name in inventory.services)
    texts = (str(entry["id"])[:40], str(entry["target"])[:40], services, str(entry["commit"])[:40])
    return Deploy(*texts, str(entry["result"])[:20], finite(entry["started"]), finite(entry["seconds"]))


def _state(value: object) -> str:
    if value not in STATES:
        raise ValueError("state of a service")
    return str(value)
