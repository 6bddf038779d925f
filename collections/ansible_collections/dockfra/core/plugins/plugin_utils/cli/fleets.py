# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bastions say of the devices that follow the releases of their services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import bastions
from .call import Place

VERB = "device-status"

# Seconds that a bastion has to answer: it asks its devices, and some of them are away.
TIMEOUT = 130.0

# Devices of a bastion that are kept of its answer, and bytes that a card may have.
MAX_DEVICES = 500
MAX_BYTES = 1 << 50


def ask(place: Place, timeout: float = TIMEOUT) -> list[dict[str, Any]]:
    """Ask every bastion that has devices at the same time; one that does not answer has an entry without a device, and its problem.

    Args:
        place: this container.
        timeout: seconds.
    """
    return bastions.answers(place, VERB, checked, MAX_DEVICES, timeout)


def checked(said: bastions.Said) -> dict[str, Any]:
    """Return what is known of a device, each part in its form: it may come from another container."""
    keys = ("bastion", "device", "service", "architecture", "problem", "wanted")
    texts = {key: bastions.text(said.get(key)) for key in keys}
    current = None if texts["problem"] else bastions.release(said.get("current"))
    free = bastions.number(said.get("free"), MAX_BYTES)
    return {**texts, "current": current, "proven": said.get("proven") is True, "free": free}


def compared(
    devices: Iterable[Mapping[str, Any]], releases: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return devices, each with what it is to use, ``wanted``, and what is wrong with that, ``problem``.

    Args:
        devices: see `checked`.
        releases: what bastions say of services, see `bastions.checked`.
    """
    # While somebody changes from one release to another, nobody can tell.
    settled = (entry for entry in releases if entry["service"] and not entry["held"])
    current = {entry["service"]: entry["current"] for entry in settled}
    return [_compared(device, current.get(device["service"])) for device in devices]


def _compared(device: Mapping[str, Any], wanted: str | None) -> dict[str, Any]:
    problem = device["problem"]
    if not problem and wanted is not None and device["current"] != wanted:
        problem = f"is behind: {device['service']} serves {wanted or 'what its image brought'}"
    elif not problem and not device["proven"]:
        problem = "nobody knows yet whether it is well"
    return {**device, "wanted": wanted or "", "problem": problem}
