# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the links between Docker hosts stand, and the audit logs that come over them, as the tunnels say at their gates. On one Docker host there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils.errors import DockfraError
from . import bastions, verbs
from .call import Call, Place
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
            # A tunnel of an earlier version says nothing of logs.
            found += said["links"]
            problems += [f"{place}: {problem}" for problem in said.get("problems", ())]
        except DockfraError as error:
            found.append(
                {"tunnel": place, "state": DOWN, "since": None, "reconnects": None, "problem": str(error)}
            )
    return {"links": found, "problems": problems}


def ask(place: Place, timeout: float = bastions.TIMEOUT) -> list[dict[str, Any]]:
    """Ask every tunnel that keeps links, for a daemon; returns an entry for each thing that is wrong, and one for each link that is up.

    Args:
        place: this container.
        timeout: seconds.

    Returns: ``tunnel`` and ``problem``, which is empty for a link that is up.
    """
    found = []
    for name in bastions.services(place, COMMAND):
        try:
            answer = verbs.call(name, [COMMAND], timeout=timeout)
            # Its exit status is 1 where something is wrong, which it says.
            said = answer.data if isinstance(answer.data, Mapping) else None
            found += [_told(link) for link in said["links"]] if said else [_wrong(name, answer.message)]
            found += [_wrong(name, problem) for problem in said.get("problems", ())] if said else []
        except DockfraError as error:
            found.append(_wrong(name, str(error)))
        except (KeyError, TypeError):
            found.append(_wrong(name, f"its answer is not what {COMMAND} says"))
    return found


def _told(link: Mapping[str, Any]) -> dict[str, Any]:
    return _wrong(link["tunnel"], "" if link["state"] == UP else f"{link['state']}: {link['problem']}")


def _wrong(tunnel: object, problem: object) -> dict[str, Any]:
    return {"tunnel": bastions.text(tunnel), "problem": bastions.text(problem)}


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
