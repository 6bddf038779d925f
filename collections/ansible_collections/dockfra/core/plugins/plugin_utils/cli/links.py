# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the links between Docker hosts stand, as the tunnels say at their gates. On one Docker host there is none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...module_utils.errors import DockfraError
from .call import Call
from .output import Style, table

COMMAND = "link-status"

UP, DOWN = "up", "down"

_COLOURS = {UP: "green", DOWN: "red", "refused": "red"}


def asked(call: Call) -> list[dict[str, Any]]:
    """Ask every tunnel that keeps links; one that does not answer is one whose links are down."""
    rule = call.place.policy.rules.get(COMMAND)
    found: list[dict[str, Any]] = []
    for place, callers in rule.places.items() if rule else ():
        if call.place.name not in callers:
            continue
        try:
            found += call.ask(place, [COMMAND])["links"]
        except DockfraError as error:
            found.append(
                {"tunnel": place, "state": DOWN, "since": None, "reconnects": None, "problem": str(error)}
            )
    return found


def broken(links: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of them is not up."""
    return any(link["state"] != UP for link in links)


def render(links: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return them for people, a row for each; empty where there are none."""
    rows = [
        (
            link["tunnel"],
            link["state"],
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(link["since"])) if link["since"] else "-",
            "-" if link["reconnects"] is None else str(link["reconnects"]),
            link["problem"],
        )
        for link in links
    ]
    return (
        table(style, ("LINK TO", "STATE", "SINCE", "RECONNECTS", "PROBLEM"), rows, _COLOURS) if rows else ""
    )
