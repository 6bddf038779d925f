# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The devices of a target: they follow the release that their service is to serve, a share of them at a time.

A service changes with all others of a deploy or not at all. Devices are many, and some are off: those that got well keep what they have, the
first that does not ends the deploy, and what is behind is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...module_utils.errors import CommandError
from ...module_utils.releases.ids import valid_id
from ..cli import codes, verbs
from .configuration import Device

VERB = "device-status"
# The bastion's word for no release.
NONE = "none"

# Seconds for a bastion to ask all of its devices.
_STATUS_SECONDS = 150.0
# Of devices that are behind, so many are named.
_NAMED = 20


class Move(NamedTuple):
    """A device that is not at its service's release.

    Attributes:
        device: it.
        before: the release that it uses; empty for none, and where it does not answer.
        after: the one that it is to use; empty for none.
        problem: why it does not answer; empty where it does.
        commit: what the latter is made of; empty where nobody says.
    """

    device: Device
    before: str
    after: str
    problem: str = ""
    commit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for programs."""
        return {
            "device": self.device.device,
            "before": self.before,
            "after": self.after,
            "problem": self.problem,
        }


def moves(devices: Sequence[Device], wanted: Mapping[str, str]) -> list[Move]:
    """Ask devices what they use, and return those that are not well with what they are to use.

    Args:
        devices: them.
        wanted: the release of each service, empty for none.

    Raises:
        CommandError: a bastion cannot be reached, or does not say.
    """
    found = []
    for bastion in dict.fromkeys(device.bastion for device in devices):
        own = [device for device in devices if device.bastion == bastion]
        said = _asked(bastion, [device.device for device in own])
        for device in own:
            entry, after = said.get(device.device, {}), wanted[device.service]
            problem = str(entry.get("problem") or "") if entry else f"{bastion} says nothing of it"
            before = str(entry.get("current") or "")
            before = before if valid_id(before) else ""
            if problem:
                found.append(Move(device, "", after, problem))
            elif before != after or not entry.get("proven"):
                found.append(Move(device, before, after))
    return found


def _asked(bastion: str, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    answer = verbs.call(bastion, [VERB, *names], timeout=_STATUS_SECONDS)
    if answer.status != codes.OK or not isinstance(answer.data, list):
        raise CommandError(answer.message or f"{bastion} does not say how its devices are")
    return {str(entry.get("device")): entry for entry in answer.data if isinstance(entry, Mapping)}


def shares(found: Iterable[Move]) -> dict[str, list[Move]]:
    """Return the moves of devices that answer, by the share of them that changes at a time."""
    parts: dict[str, list[Move]] = {}
    for move in found:
        if not move.problem:
            parts.setdefault(move.device.share, []).append(move)
    return parts


def hosts(found: Sequence[Move], reboot: bool) -> dict[str, dict[str, Any]]:
    """Return the variables of devices, for a playbook."""
    return {
        move.device.device: {
            "deploy_bastion": move.device.bastion,
            "deploy_after": move.after,
            "deploy_reboot": reboot,
        }
        for move in found
    }


class BehindError(CommandError):
    """Devices are not where their service is.

    Args:
        left: them.
        total: how many devices follow these services.
        reason: what ended the deploy, in the words of the first that failed; empty where nothing did.
        refused: whether the release is to blame for that, not the device or the way there.
    """

    def __init__(self, left: Sequence[Move], total: int, reason: str, refused: bool = False) -> None:
        named = [f"{move.device.device} ({_standing(move)})" for move in left[:_NAMED]]
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        ahead = f"{reason.rstrip('.')}. " if reason else ""
        super().__init__(
            f"{ahead}{len(left)} of {total} devices are behind: {', '.join(named) or 'none'}{more}; "
            "deploy again when they are well, or roll back"
        )
        self.refused = refused


def _standing(move: Move) -> str:
    if move.problem:
        return move.problem.rstrip(".")
    if move.before == move.after:
        return "not known to be well"
    return f"uses {move.before or NONE}"
