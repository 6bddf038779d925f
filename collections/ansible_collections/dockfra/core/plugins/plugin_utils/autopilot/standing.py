# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the autopilot stands, for the commands that show it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils.autopilot import pause
from ...module_utils.autopilot.approvals import Approvals, Request
from ...module_utils.autopilot.ledger import Ledger
from ...module_utils.settings.file import EnvFile
from ...module_utils.watch import snapshot
from ..cli.call import Place
from ..cli.output import Style, table
from ..cli.watched import RUN, moment, span
from .means import approvals_path, budget_left, ledger_path, pause_path, state, unusable

# What the daemon writes.
STATUS = "pilot.json"

# Seconds after which it says nothing of now.
FRESH = 30.0

# Decisions that `pilot-status` shows, the last ones.
LATEST = 5

_COLOURS = {
    "done": "green",
    "admitted": "green",
    "failed": "red",
    "undone": "yellow",
    "waiting": "cyan",
    "suggested": "cyan",
    "refused": "dim",
}


def now(place: Place, run: Path = RUN) -> dict[str, Any]:
    """Return how it stands; raises AutopilotError."""
    folder, moment_now = state(), time.time()
    settings = EnvFile.of(place.name)
    values = settings.read()
    found = snapshot.read(run / STATUS, FRESH)
    decisions = Ledger(ledger_path(folder)).decisions()
    left = budget_left(settings)
    return {
        "mode": str(values.get("AUTOPILOT_MODE")),
        "enabled": bool(values.get("AUTOPILOT_ENABLED")),
        "interval": int(values.get("AUTOPILOT_INTERVAL")),
        "paused": unusable(settings) or pause.paused(pause_path(folder), moment_now),
        "time": round(moment_now, 3),
        "daemon": None if found is None else {key: found[key] for key in found if key not in ("time", "age")},
        "waiting": [told(request) for request in requests(folder) if not request.by],
        "budget": {"tokens": left.tokens, "cost": round(left.cost, 6)},
        "decisions": [decision.to_dict() for decision in decisions[-LATEST:]],
    }


def requests(folder: Path | None = None) -> list[Request]:
    """Return what waits and what is approved; raises AutopilotError."""
    return Approvals(approvals_path(folder or state())).requests(time.time())


def told(request: Request) -> dict[str, Any]:
    """Return a request as the commands show it."""
    return {
        "id": request.id,
        "action": request.action,
        "parameters": dict(request.parameters),
        "risk": request.risk,
        "reasons": list(request.reasons),
        "asked": round(request.asked, 3),
        "until": round(request.until, 3),
        "by": request.by,
    }


def render(data: Mapping[str, Any], style: Style) -> str:
    """Return how it stands for people."""
    on = "on" if data["enabled"] else "off; pilot-run still does a cycle"
    lines = [f"Mode      {style.paint(data['mode'], 'bold')}", f"Switched  {on}"]
    if data["paused"]:
        lines.append(f"Paused    {style.paint(data['paused'], 'yellow')}")
    lines.append(f"Daemon    {_daemon(data)}")
    if daemon := data["daemon"]:
        for problem in [*([daemon["problem"]] if daemon["problem"] else []), *daemon["missing"]]:
            lines.append(f"          {style.paint(problem, 'red')}")
    budget = data["budget"]
    left = f"{budget['tokens']} tokens and ${budget['cost']:.2f} are left today"
    lines.append(
        f"Model     {left if budget['tokens'] and budget['cost'] else 'not asked: no key, or nothing left today'}"
    )
    parts = ["\n".join(lines)]
    if data["waiting"]:
        parts.append(f"Waiting for the manager's yes:\n{render_requests(data['waiting'], style)}")
    if data["decisions"]:
        parts.append(f"Last decisions:\n{render_decisions(data['decisions'], style)}")
    return "\n\n".join(parts)


def render_requests(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return requests for people, a row for each."""
    rows = [
        (
            each["id"],
            each["action"],
            words(each["parameters"]),
            each["risk"],
            f"approved by {each['by']}" if each["by"] else "waits",
            f"{span(max(0.0, each['until'] - time.time()))}",
            "; ".join(each["reasons"]),
        )
        for each in found
    ]
    return table(style, ("ID", "ACTION", "WITH", "RISK", "STATE", "FOR", "BECAUSE"), rows)


def render_decisions(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return decisions for people, a row for each."""
    return table(style, ("TIME", "BY", "ACTION", "WITH", "VERDICT", "WHY"), map(row, found), _COLOURS)


def render_plan(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return for people proposals that were judged and not done, a row for each."""
    rows = [
        (
            each["action"],
            words(each["parameters"]),
            each["risk"],
            each["verdict"],
            f"{each['rule']}: {each['because']}",
            each["reason"],
        )
        for each in found
    ]
    return table(style, ("ACTION", "WITH", "RISK", "NOW", "BECAUSE", "THE MODEL SAYS"), rows, _COLOURS)


def row(each: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a decision."""
    why = each["result"] or " - ".join(filter(None, each["reasons"]))
    when = str(each["time"])[:19].replace("T", " ")
    return (when, each["planner"], each["action"], words(each["parameters"]), each["verdict"], why)


def words(parameters: Mapping[str, str]) -> str:
    """Return parameters in one short line."""
    return " ".join(value if len(value) <= 24 else f"{value[:23]}…" for value in parameters.values())[:80]


def _daemon(data: Mapping[str, Any]) -> str:
    daemon = data["daemon"]
    if daemon is None:
        return "says nothing; see 'docker logs' of this container"
    if daemon["doing"]:
        return f"at work: {daemon['doing']}"
    last = (
        f"cycle {daemon['cycle']} at {moment(daemon['began'])} took {daemon['seconds']:.1f} s"
        if daemon["cycle"]
        else "no cycle yet"
    )
    if not data["enabled"] or data["paused"]:
        return last
    return f"{last}; the next in {span(max(0.0, daemon['next'] - data['time']))}"


def follow(path: Path) -> tuple[int, ...]:
    """Return what tells that the ledger has changed."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size)


def as_line(decision: Mapping[str, Any]) -> str:
    """Return a decision as one line for programs."""
    return json.dumps(decision, ensure_ascii=False)
