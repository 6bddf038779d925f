# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The policy: decisions, words for denials, and what in it cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    DeniedError,
    PolicyError,
    UsageError,
)
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

VARIABLES: dict[str, Any] = yaml.safe_load(
    (COLLECTIONS.parent / "inventories" / "policy.yml").read_text(encoding="utf-8")
)["all"]["vars"]
REAL = Policy(VARIABLES["dockfra_capabilities"], VARIABLES["dockfra_commands"])
AT: dict[str, dict[str, list[str]]] = {
    name: rule["at"] for name, rule in VARIABLES["dockfra_commands"].items()
}
ROLES = ["manager", "autopilot", "monitor", "developer"]
NAMES = sorted({*ROLES, "git", *(place for at in AT.values() for place in at), "nobody", ""})

SMALL = {
    "make": {"capability": "making", "at": {"shop": ["shop", "boss"]}},
    "look": {"at": {"shop": ["boss"], "yard": ["boss"]}},
    "idle": {"at": {}},
}
CAPABILITIES = {"making": {"title": "Make", "roles": ["shop", "boss"]}}


@pytest.fixture
def small() -> Policy:
    return Policy(CAPABILITIES, SMALL)


@pytest.mark.parametrize("place", NAMES)
@pytest.mark.parametrize("caller", NAMES)
def test_every_decision_of_the_inventory_is_the_one_it_says(caller: str, place: str) -> None:
    for command in [*AT, "rm", "", "Ticket-list", "ticket_list"]:
        allowed = caller in AT.get(command, {}).get(place, [])
        if allowed:
            assert REAL.authorize(caller, place, command).command == command
        else:
            with pytest.raises(DeniedError):
                REAL.authorize(caller, place, command)
        assert (command in REAL.commands(caller, place)) == allowed


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=200))
def test_what_is_not_listed_is_denied_in_one_short_line(caller: str, place: str, command: str) -> None:
    if caller in AT.get(command, {}).get(place, []):
        return
    with pytest.raises(DeniedError) as denied:
        REAL.authorize("developer", "manager", command if command not in AT else "deploy-all")
    assert str(denied.value).isprintable()
    assert len(str(denied.value)) < 200
    with pytest.raises(DeniedError):
        REAL.authorize(caller, place, command)


def test_nobody_has_a_command_without_its_capability() -> None:
    places = {place for at in AT.values() for place in at} | set(ROLES)
    assert list(REAL.problems(places, ROLES)) == []
    for command, rule in VARIABLES["dockfra_commands"].items():
        if "capability" in rule:
            owners = set(VARIABLES["dockfra_capabilities"][rule["capability"]]["roles"])
            assert {caller for callers in rule["at"].values() for caller in callers} <= owners, command


def test_it_survives_its_own_file() -> None:
    again = Policy.from_dict(REAL.to_dict())
    assert again.to_dict() == REAL.to_dict()
    assert [again.commands("developer", "manager"), again.callers("manager")] == [
        REAL.commands("developer", "manager"),
        REAL.callers("manager"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        None, [], "x", 5, {}, {"capabilities": {}}, {"commands": {}}, {"capabilities": [], "commands": {}},
        {"capabilities": {"x": {}}, "commands": {}}, {"capabilities": {"x": {"title": "x", "roles": None}}, "commands": {}},
        {"capabilities": {}, "commands": {"x": None}}, {"capabilities": {}, "commands": {"x": {}}},
        {"capabilities": {}, "commands": {"x": {"at": []}}}, {"capabilities": {}, "commands": {"x": {"at": {"y": 5}}}},
    ],
)  # fmt: skip
def test_a_damaged_policy_is_said_so(data: Any) -> None:
    with pytest.raises(PolicyError, match="damaged"):
        Policy.from_dict(data)


def test_where_a_command_runs(small: Policy) -> None:
    assert small.place("shop", "make") == "shop"
    assert small.place("boss", "make") == "shop"
    with pytest.raises(UsageError, match="runs at the shop, the yard; reach one with ssh-to"):
        small.place("boss", "look")
    with pytest.raises(DeniedError, match="there is no command 'nothing'; help lists those of the boss"):
        small.place("boss", "nothing")
    with pytest.raises(DeniedError, match="the boss may not use idle; it is for the nobody"):
        small.place("boss", "idle")


def test_a_denial_says_who_may_or_where(small: Policy) -> None:
    for caller, place, said in [
        ("yard", "yard", "the yard may not use make; it is for the boss and the shop"),
        ("yard", "shop", "the yard may not use make at the shop; it is for the boss and the shop"),
        ("boss", "yard", "the boss may not use make at the yard; only at the shop"),
    ]:
        with pytest.raises(DeniedError) as denied:
            small.authorize(caller, place, "make")
        assert str(denied.value) == said


def test_callers_and_owners(small: Policy) -> None:
    assert small.callers("shop") == ["boss"]
    assert small.callers("nowhere") == []
    assert small.rules["look"].callers == {"boss"}


@pytest.mark.parametrize(
    ("capabilities", "commands", "said"),
    [
        ({"x": {"title": "X", "roles": ["king"]}}, {}, "x names the role 'king'"),
        ({}, {"Make": {"at": {}}}, "'Make' is no name for a command"),
        ({}, {"../make": {"at": {}}}, "'../make' is no name for a command"),
        ({}, {"make\n": {"at": {}}}, "is no name for a command"),
        ({}, {"a" * 41: {"at": {}}}, "is no name for a command"),
        ({}, {"make": {"capability": "x", "at": {}}}, "belongs to the capability 'x'"),
        ({}, {"make": {"at": {"attic": ["boss"]}}}, "names 'attic'"),
        ({}, {"make": {"at": {"shop": ["stranger"]}}}, "names 'stranger'"),
        ({"x": {"title": "X", "roles": ["shop"]}}, {"make": {"capability": "x", "at": {"shop": ["boss"]}}}, "lacks the capability x"),
    ],
)  # fmt: skip
def test_problems(capabilities: dict[str, Any], commands: dict[str, Any], said: str) -> None:
    problems = list(Policy(capabilities, commands).problems(["shop", "boss", "yard"], ["shop", "boss"]))
    assert len(problems) == 1
    assert said in problems[0]
