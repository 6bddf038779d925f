# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor's daemons have written down, for the commands that show it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils.text import finite
from ...module_utils.watch import snapshot
from ...module_utils.watch.history import Reader
from . import backed_up, bastions, fleets, limits
from .output import Style, table

# The directory of the container's own state, and the files of the daemons there.
RUN = Path("/run/dockfra")
SNAPSHOT = "watch.json"
POLLED = "poll.json"
# Another one when old releases were removed.
CLEANED = "cleaned"

# The history of the services.
HISTORY = Path("~/.local/state/dockfra/history.sqlite")

# Alerts that others asked for, until the watch has told them.
ASKED = Path("~/.local/state/dockfra/alerts")

# Seconds for which a snapshot is what is: three looks of the daemon.
FRESH = 15.0

# Changes of a service that are shown.
MOST = 200

# Percent of a store from which on people are told.
NEARLY_FULL = 85

_COLOURS = {"up": "green", "unknown": "dim", "degraded": "yellow", "down": "red"}


def latest() -> dict[str, Any] | None:
    """Return the snapshot of the services with its ``age`` in seconds, None where there is none that is fresh."""
    found = snapshot.read(RUN / SNAPSHOT, FRESH)
    lists = ("services", "releases", "devices")
    usable = found is not None and all(isinstance(found.get(key), list) for key in lists)
    return found if usable else None


def polled() -> dict[str, Any] | None:
    """Return what the poll of the origin says, None where it says nothing that is fresh."""
    found = snapshot.read(RUN / POLLED, FRESH)
    return None if found is None or not isinstance(found.get("commit"), str) else found


def of_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return of the monitor's answer to ``status`` what is shown elsewhere too; raises KeyError, TypeError, ValueError."""
    found: dict[str, Any] = {"services": list(answer["services"]), "limits": list(answer.get("limits", ()))}
    if "by" in answer:
        found |= {key: str(answer[key]) for key in ("by", "problem")}
        found |= {key: finite(answer[key]) for key in ("time", "age")}
        found["alerts"] = list(map(str, answer["alerts"]))
        found["releases"] = [bastions.checked(entry) for entry in answer["releases"]]
        found["devices"] = [fleets.checked(entry) for entry in answer.get("devices", ())]
        found["deploys"] = [_deploy(entry) for entry in answer.get("deploys", ())]
        found["backup"] = backed_up.checked(answer["backup"]) if answer.get("backup") else None
    return found


def _deploy(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A deploy as `status` tells it, each part in its form; raises KeyError, TypeError, ValueError."""
    texts = {key: str(entry[key]) for key in ("id", "target", "commit", "release", "who", "result", "reason")}
    numbers = {key: finite(entry[key]) for key in ("started", "seconds")}
    return {**texts, **numbers, **{key: list(map(str, entry[key])) for key in ("services", "tickets")}}


def history(service: str, hours: float) -> dict[str, Any]:
    """Return how a service was in the last hours as data; raises HistoryError."""
    since = time.time() - hours * 3600
    reader = Reader(HISTORY.expanduser())
    part = reader.part_up(service, since)
    return {
        "service": service,
        "hours": hours,
        "up": None if part is None else round(part, 5),
        "changes": [
            {"time": change.time, "state": change.state, "detail": change.detail}
            for change in reader.changes(service, since, MOST)
        ],
    }


def render(data: Mapping[str, Any], style: Style) -> list[str]:
    """Return for people what belongs before the services in the data of ``status``, in parts, some of them empty."""
    notes = []
    if data.get("by") == "watch":
        notes.append(
            style.paint(f"Seen {data['age']:.0f} s ago by the watch; 'status --now' asks now.", "dim")
        )
    if data.get("problem"):
        notes.append(style.paint(str(data["problem"]), "yellow"))
    if backup := backed_up.render(data.get("backup"), style):
        notes.append(backup)
    if poll := data.get("poll"):
        notes += _poll_notes(poll)
    now = time.time()
    releases = render_releases(data.get("releases") or (), now, style)
    devices = render_devices(data.get("devices") or (), style)
    deploys = render_deploys(data.get("deploys") or (), now, style)
    return ["\n".join(notes), limits.render(data["limits"], style), releases, devices, deploys]


def _poll_notes(poll: Mapping[str, Any]) -> list[str]:
    """What a person should know of the poll, if anything."""
    notes = [entry["detail"] for entry in (poll["origin"], poll["deploy"]) if entry["wrong"]]
    if poll["deploying"]:
        notes.append(f"{poll['deploying'][:12]} of main is being deployed.")
    elif not poll["automatic"] and poll["commit"] != poll["settled"]:
        notes.append(f"{poll['commit'][:12]} of main waits for 'deploy-all': MONITOR_AUTO_DEPLOY is off.")
    return notes


def render_history(data: Mapping[str, Any], style: Style) -> str:
    """Return it for people: a row for each change, and which part of the time it worked."""
    rows = [(moment(change["time"]), change["state"], change["detail"]) for change in data["changes"]]
    part = "unknown for how long" if data["up"] is None else f"{data['up']:.2%} of the looks"
    return "\n".join(
        [
            table(style, ("SINCE", "STATE", "DETAIL"), rows, _COLOURS),
            f"{data['service']} was up in {part} within {data['hours']:g} h",
        ]
    )


def moment(seconds: float) -> str:
    """Return a time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def span(seconds: float) -> str:
    """Return how long something is or was, for people: in the largest unit that says it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def render_releases(releases: Sequence[Mapping[str, Any]], now: float, style: Style) -> str:
    """Return what the bastions say for people, a row for each service; empty where there is nothing to say."""
    rows = []
    for each in releases:
        if each["problem"] and not each["service"]:
            rows.append((each["bastion"], "unknown", "-", each["problem"]))
            continue
        running = "unknown" if each["running"] is None else each["running"] or "its image's"
        notes = [each["problem"], each["held"] and f"held by {each['held']}", _room(each)]
        age = span(now - each["made"]) if each["made"] else "-"
        rows.append((each["service"], running, age, "; ".join(filter(None, notes))))
    return table(style, ("SERVICE", "RELEASE", "AGE", "NOTE"), rows) if rows else ""


def render_devices(devices: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return what the bastions say of their devices for people, a row for each; empty where there are none."""
    rows = [
        (
            each["device"] or each["bastion"],
            "unknown" if each["current"] is None else each["current"] or "none",
            "-" if each["free"] is None else f"{each['free'] >> 20} MiB",
            each["problem"],
        )
        for each in devices
    ]
    return table(style, ("DEVICE", "RELEASE", "FREE", "NOTE"), rows) if rows else ""


def _room(said: Mapping[str, Any]) -> str:
    """How full the store of a service's releases is, where that comes near its end."""
    used, old = said.get("used"), said.get("cleanable")
    if used is None or used < NEARLY_FULL:
        return ""
    return f"its store is {used} % full" + (f", {old} old releases can go" if old else "")


def render_deploys(deploys: Sequence[Mapping[str, Any]], now: float, style: Style) -> str:
    """Return the last deploys for people, a row for each; empty where there were none."""
    rows = [
        (
            each["target"],
            each["result"],
            each["commit"][:12] or "-",
            f"{span(now - each['started'])} ago",
            each["who"],
            each["reason"],
        )
        for each in deploys
    ]
    colours = {"failed": "red", "interrupted": "yellow", "deployed": "green"}
    return (
        table(style, ("DEPLOY", "RESULT", "COMMIT", "BEGUN", "BY", "REASON"), rows, colours) if rows else ""
    )
