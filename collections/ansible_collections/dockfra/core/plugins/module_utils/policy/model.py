# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may run which command where. The inventory holds the policy; everybody asks it here.

A *place* is a container, called by the name of the SSH client key that lives in it (``manager``), or by its service's
name when it has none. A *caller* is a place too: whoever holds its key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import DeniedError, PolicyError, UsageError
from ..text import shown

_COMMAND = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Capability(NamedTuple):
    """A row of the role matrix: what it is called, and the roles that have it."""

    name: str
    title: str
    roles: tuple[str, ...]


class Rule(NamedTuple):
    """One command of the policy.

    Attributes:
        command: its name.
        capability: name of the row it belongs to, or an empty string.
        places: where it runs, and for which callers.
        on_path: whether people type it; what only programs ask a gate for is on nobody's PATH.
    """

    command: str
    capability: str
    places: Mapping[str, tuple[str, ...]]
    on_path: bool = True

    @property
    def callers(self) -> set[str]:
        """Everybody who may run it somewhere."""
        return {caller for callers in self.places.values() for caller in callers}


class Policy:
    """The policy of a platform.

    Args:
        capabilities: the variable ``dockfra_capabilities``.
        commands: the variable ``dockfra_commands``.
    """

    def __init__(self, capabilities: Mapping[str, Any], commands: Mapping[str, Any]) -> None:
        self.capabilities = {
            name: Capability(name, str(row["title"]), tuple(row["roles"]))
            for name, row in capabilities.items()
        }
        self.rules = {
            name: Rule(
                name,
                str(rule.get("capability") or ""),
                {place: tuple(callers) for place, callers in rule["at"].items()},
                bool(rule.get("on_path", True)),
            )
            for name, rule in commands.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Build a policy from what `to_dict` returned; raises PolicyError for anything else."""
        try:
            return cls(data["capabilities"], data["commands"])
        except (KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"The policy is damaged ({error!r}); run site.yml again.") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain data."""
        return {
            "capabilities": {
                row.name: {"title": row.title, "roles": list(row.roles)} for row in self.capabilities.values()
            },
            "commands": {
                rule.command: {
                    "capability": rule.capability,
                    "at": {place: list(callers) for place, callers in rule.places.items()},
                    "on_path": rule.on_path,
                }
                for rule in self.rules.values()
            },
        }

    def authorize(self, caller: str, place: str, command: str) -> Rule:
        """Return the rule by which a caller may run a command at a place; raises DeniedError when there is none."""
        rule = self.rules.get(command)
        if rule is None:
            raise DeniedError(f"there is no command {shown(command)}; help lists those of the {caller}")
        if caller not in rule.places.get(place, ()):
            raise DeniedError(self._reason(caller, place, rule))
        return rule

    def place(self, caller: str, command: str) -> str:
        """Return where a command runs for a caller: at home where it may, else at the only place that admits it.

        Raises:
            DeniedError: no place admits the caller.
            UsageError: several places do, and none is the caller's home.
        """
        rule = self.rules.get(command)
        if rule is None:
            raise DeniedError(f"there is no command {shown(command)}; help lists those of the {caller}")
        places = [place for place, callers in rule.places.items() if caller in callers]
        if not places:
            raise DeniedError(self._reason(caller, caller, rule))
        if caller in places:
            return caller
        if len(places) > 1:
            raise UsageError(f"{command} runs at the {', the '.join(places)}; reach one with ssh-to")
        return places[0]

    def commands(self, caller: str, place: str) -> list[str]:
        """The commands that a caller may run at a place, in the order of the policy."""
        return [rule.command for rule in self.rules.values() if caller in rule.places.get(place, ())]

    def own(self, caller: str) -> list[str]:
        """The commands that a caller types at home, wherever they run, in the order of the policy."""
        return [rule.command for rule in self.rules.values() if rule.on_path and self._resolves(caller, rule)]

    def callers(self, place: str) -> list[str]:
        """Those from elsewhere who may run anything at a place."""
        found = (caller for rule in self.rules.values() for caller in rule.places.get(place, ()))
        return [caller for caller in dict.fromkeys(found) if caller != place]

    def places(self) -> set[str]:
        """All places that a rule names, as where a command runs or who may run it."""
        return {place for rule in self.rules.values() for place in (*rule.places, *rule.callers)}

    def problems(self, places: Collection[str], roles: Collection[str]) -> Iterator[str]:
        """What in the policy cannot be meant, one sentence each.

        Args:
            places: all places there are.
            roles: those that are roles, whose rights the capabilities divide.
        """
        for row in self.capabilities.values():
            for role in row.roles:
                if role not in roles:
                    yield f"dockfra_capabilities: {row.name} names the role '{role}'; roles are {_listed(roles)}."
        for rule in self.rules.values():
            if not _COMMAND.fullmatch(rule.command):
                yield f"dockfra_commands: {shown(rule.command)} is no name for a command; use lower-case words joined by hyphens."
            if rule.capability and rule.capability not in self.capabilities:
                yield (
                    f"dockfra_commands: {rule.command} belongs to the capability '{rule.capability}'; "
                    f"there are {_listed(self.capabilities)}."
                )
            for place in {*rule.places, *rule.callers} - set(places):
                yield (
                    f"dockfra_commands: {rule.command} names '{place}', which is no service with a key of its own "
                    f"and no other service; there are {_listed(places)}."
                )
            if rule.capability in self.capabilities:
                for role in sorted(rule.callers - set(self.capabilities[rule.capability].roles)):
                    yield (
                        f"dockfra_commands: {rule.command} admits the {role}, who lacks the capability "
                        f"{rule.capability}; take it out, or add the {role} to dockfra_capabilities."
                    )

    def _resolves(self, caller: str, rule: Rule) -> bool:
        try:
            self.place(caller, rule.command)
        except (DeniedError, UsageError):
            return False
        return True

    def _reason(self, caller: str, place: str, rule: Rule) -> str:
        owners = " and the ".join(sorted(rule.callers)) or "nobody"
        if caller == place:
            return f"the {caller} may not use {rule.command}; it is for the {owners}"
        elsewhere = [where for where, callers in rule.places.items() if caller in callers]
        end = f"only at the {' and the '.join(elsewhere)}" if elsewhere else f"it is for the {owners}"
        return f"the {caller} may not use {rule.command} at the {place}; {end}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
