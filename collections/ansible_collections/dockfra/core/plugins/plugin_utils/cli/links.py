# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the links between Docker hosts stand, and the audit logs that come over them, as the tunnels say at their gates. On one Docker host there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils.errors import DockfraError
from .call import Call
from .output import Style, table

COMMAND = "link-status"

UP, DOWN = "up", "down"

_COLOURS = {UP: "green", DOWN: "red", "refused": "red"}


def asked(call: Call) -> dict[str, list[Any]]:
    """Ask every tunnel that keeps links; one that does not answer is one whose links are down.

    Returns:
        ``links``, and ``problems`` with the audit logs that come over them, in words.
    """
    rule = call.place.policy.rules.get(COMMAND)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for place, callers in rule.places.items() if rule else ():
        if call.place.name not in callers:
            continue
        try:
            said = call.ask(place, [COMMAND])
            found += said["links"]
            problems += [f"{place}: {problem}" for problem in said["problems"]]
        except DockfraError as error:
            found.append(
                {"tunnel": place, "state": DOWN, "since": None, "reconnects": None, "problem": str(error)}
            )
    return {"links": found, "problems": problems}


def broken(said: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a link is not up, or something is wrong with what comes over it."""
    return bool(said["problems"]) or any(link["state"] != UP for link in said["links"])


def render(said: Mapping[str, Sequence[Any]], style: Style) -> str:
    """Return what was said for people, a row for each link; empty where there is none."""
    rows = [
        (
            link["tunnel"],
            link["state"],
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(link["since"])) if link["since"] else "-",
            "-" if link["reconnects"] is None else str(link["reconnects"]),
            link["problem"],
        )
        for link in said["links"]
    ]
    shown = (
        [table(style, ("LINK TO", "STATE", "SINCE", "RECONNECTS", "PROBLEM"), rows, _COLOURS)] if rows else []
    )
    return "\n".join([*shown, *(style.paint(problem, "red") for problem in said["problems"])])
