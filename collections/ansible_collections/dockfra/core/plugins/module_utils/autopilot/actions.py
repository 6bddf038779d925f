# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An action of the catalogue, as it stands there and has been checked (see `catalogue`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

from .facts import FACTS, View
from .inventory import Inventory
from .kinds import Given, Kind
from .windows import Window

# Who can propose.
PLANNERS = ("rules", "llm")

# What an action risks. Only the first needs no measured evidence, and the last always waits for a person.
RISKS: Mapping[str, str] = {
    "low": "tells people something; changes nothing that runs",
    "medium": "changes what runs; mode `act` does it by itself",
    "high": "changes what runs, and waits for a person in every mode",
}


@dataclass(frozen=True)
class Condition:
    """What has to hold of a fact: to be one of some words, or a number within bounds."""

    fact: str
    words: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None

    @property
    def domain(self) -> str:
        return self.fact.partition(".")[0]

    def holds(self, view: View, name: str) -> bool:
        """Whether it holds for a subject."""
        value = FACTS[self.fact].ask(view, name)
        if isinstance(value, str):
            return value in self.words
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.words:
            return f"{self.fact} is {' or '.join(self.words)}"
        bounds = [
            f"at least {self.least}" * (self.least is not None),
            f"at most {self.most}" * (self.most is not None),
        ]
        return f"{self.fact} is {' and '.join(filter(None, bounds))}"


@dataclass(frozen=True)
class Parameter:
    """A parameter; all are required."""

    name: str
    kind: Kind
    given: Given

    def schema(self, inventory: Inventory) -> dict[str, Any]:
        """Its JSON Schema."""
        return self.kind.schema(self.given, inventory)


@dataclass(frozen=True)
class Rule:
    """When the rules propose the action, without a model.

    Attributes:
        domain: what it looks at, one after the other: services, targets or tickets.
        when: what has to hold of one.
        values: the parameters, as texts in which ``$name`` stands for what is known of it.
    """

    domain: str
    when: tuple[Condition, ...]
    values: Mapping[str, str]

    def parameters(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters for what is known of a subject."""
        return {name: Template(text).substitute(known) for name, text in self.values.items()}


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        id: its name, and that of its playbook.
        title: for people and models.
        risk: one of `RISKS`.
        waits: the planners whose proposals wait for a person, whatever the mode.
        verbs: the commands that its playbook calls, by the place whose gate is asked.
        subject: the parameter that says what it is about.
        parameters: by name.
        timeout: seconds that the playbook may take.
        cooldown: seconds until it may be done again about the same subject.
        per_hour: how often it may be done about the same subject within an hour.
        distinct: parameters of which, for the rules, each value has a cooldown and a number per hour of its own.
        precondition: what has to hold before it.
        probe: what has to hold after it.
        within: seconds until that.
        undo: the action that takes it back; an empty text for none.
        windows: the only ones in which it is done; empty for always.
        rules: when the rules propose it.
        digest: of all this and of the playbook, so that an approval holds for nothing else.
    """

    id: str
    title: str
    risk: str
    waits: tuple[str, ...]
    verbs: Mapping[str, tuple[str, ...]]
    subject: str
    parameters: Mapping[str, Parameter]
    timeout: int
    cooldown: int
    per_hour: int
    distinct: tuple[str, ...]
    precondition: tuple[Condition, ...]
    probe: tuple[Condition, ...]
    within: int
    undo: str
    windows: tuple[str, ...]
    rules: tuple[Rule, ...]
    digest: str

    @property
    def changes(self) -> bool:
        """Whether it changes what runs."""
        return self.risk != "low"

    @property
    def domain(self) -> str:
        """Which facts can be asked of its subject."""
        return self.parameters[self.subject].kind.domain

    def failing(
        self, conditions: tuple[Condition, ...], view: View, values: Mapping[str, str]
    ) -> Condition | None:
        """Return the first condition that does not hold for these parameters."""
        names = {parameter.kind.domain: values[name] for name, parameter in self.parameters.items()}
        return next((each for each in conditions if not each.holds(view, names[each.domain])), None)


@dataclass(frozen=True)
class Catalogue:
    """All actions, and what holds for all of them.

    Attributes:
        actions: by id, in the order in which the rules try them.
        windows: the windows by name.
        quiet: the windows in which nothing that runs is changed.
        changes_per_hour: how many actions of more than low risk may be begun within an hour.
        tells_per_hour: how many of low risk.
    """

    actions: Mapping[str, Action]
    windows: Mapping[str, Window]
    quiet: tuple[str, ...]
    changes_per_hour: int
    tells_per_hour: int


def digest_of(values: object, playbook: bytes) -> str:
    """Return the hash of an entry and its playbook."""
    return digest([values, hashlib.sha256(playbook).hexdigest()])


def digest(values: object) -> str:
    """Return the hash of plain data."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def domains_of(parameters: Mapping[str, Parameter]) -> set[str]:
    """The domains whose facts an action's conditions can ask."""
    return {parameter.kind.domain for parameter in parameters.values()} - {""}
