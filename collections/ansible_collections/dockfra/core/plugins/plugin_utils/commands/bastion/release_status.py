# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say which releases of a service are here, which one serves, and who works on them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ....module_utils.errors import ReleaseError
from ....module_utils.releases import ids
from ....module_utils.releases.store import Store
from ...cli import releases
from ...cli.call import Call
from ...cli.grammar import checked
from ...cli.output import Style, table

EXAMPLES: list[str] = ["release-status", "release-status backend --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service",
        metavar="SERVICE",
        nargs="?",
        type=checked(ids.checked_service),
        help="its name; by default every service whose releases are here",
    )


def run(call: Call) -> list[dict[str, Any]]:
    names = [call.options.service] if call.options.service else releases.services()
    return [_status(releases.store(name)) for name in names]


def _status(kept: Store) -> dict[str, Any]:
    found: dict[str, Any] = {
        "service": kept.service,
        "running": None,
        "current": kept.current(),
        "previous": kept.previous(),
        "releases": [_release(kept, release) for release in kept.ids()],
        "tried": None,
        "crashed": {},
        "said": 0.0,
        "problem": "",
        "holder": None,
        "used": kept.used(),
        "cleanable": None,
    }
    try:
        said = releases.said(kept.service)
    except ReleaseError as error:
        found["problem"] = str(error)
    else:
        tried = asdict(said.tried) if said.tried else None
        found |= {"running": said.running, "tried": tried, "crashed": dict(said.crashed), "said": said.time}
        found["cleanable"] = len(kept.spare(said.running))
    if holder := kept.holder():
        found["holder"] = {**holder.to_dict(), "line": str(holder)}
    return found


def _release(kept: Store, release: str) -> dict[str, Any]:
    try:
        return {**asdict(kept.record(release)), "served": kept.served(release), "problem": ""}
    except ReleaseError as error:
        return {"id": release, "problem": str(error)}


def render(data: list[dict[str, Any]], style: Style) -> str:
    return "\n\n".join(_rendered(entry, style) for entry in data)


def _rendered(entry: dict[str, Any], style: Style) -> str:
    image = "what its image brought"
    running = "unknown" if entry["running"] is None else entry["running"] or image
    lines = [f"{style.paint(entry['service'], 'bold')} runs {running}"]
    if entry["holder"]:
        lines.append(f"held by {entry['holder']['line']}")
    if tried := entry["tried"]:
        lines.append(
            f"tried last: {tried['release'] or image}, {tried['result']}{tried['reason'] and ': '}{tried['reason']}"
        )
    old = "nobody knows which releases" if entry["cleanable"] is None else f"{entry['cleanable']} releases"
    lines.append(f"its disk is {entry['used']} % full; {old} can be removed")
    if entry["problem"]:
        lines.append(style.paint(entry["problem"], "red"))
    rows = [
        (each["id"], _marks(entry, each["id"]), each.get("who", ""), each["problem"])
        for each in reversed(entry["releases"])
    ]
    return "\n".join([*lines, table(style, ("RELEASE", "IS", "ASKED FOR BY", "PROBLEM"), rows)])


def _marks(entry: dict[str, Any], release: str) -> str:
    found = [name for name in ("running", "current", "previous") if entry[name] == release]
    return ", ".join([*found, "crashed"] if release in entry["crashed"] else found)
