# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""In which order a run replaces containers that serve."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.topology import upgrades
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology

NAMES = [f"s{number}" for number in range(8)]


def make(name: str, *networks: str, **variables: Any) -> Service:
    values = {f"dockfra_{key}": value for key, value in variables.items()}
    return Service.from_variables(
        name, {"dockfra_networks": list(networks or ("a",)), "dockfra_uid": 10000, **values}
    )


def pending(name: str, turn: int, *needs: str, alone: bool = True) -> dict[str, Any]:
    return {"name": name, "turn": turn, "needs": list(needs), "alone": alone}


def test_what_is_needed_comes_first_else_it_is_the_order_of_the_inventory() -> None:
    topology = Topology(
        "dockfra",
        [make("page", needs=["api"]), make("other"), make("api", needs=["db"]), make("db"), make("last")],
    )
    assert upgrades.order(topology) == ["db", "api", "page", "other", "last"]
    assert upgrades.needed(topology)["page"] == ["api", "db"]


def test_the_ends_of_a_link_come_first_and_the_one_it_is_opened_to_before_the_other() -> None:
    port = [{"name": "db", "port": 5432}]
    topology = Topology(
        "dockfra",
        [
            make("api", "back", needs=["db"], docker_host="one"),
            make("link", "link-net", links=["link-two"], docker_host="one"),
            make("db", "back", ports=port, docker_host="two"),
            make("link-two", "link-net", links=[], docker_host="two"),
        ],
    )
    assert upgrades.order(topology) == ["link-two", "link", "db", "api"]
    assert upgrades.needed(topology) == {
        "api": ["link", "db", "link-two"],
        "link": ["link-two"],
        "db": [],
        "link-two": [],
    }


def test_needs_in_a_circle_end() -> None:
    topology = Topology("dockfra", [make("a", needs=["b"]), make("b", needs=["c"]), make("c", needs=["a"])])
    assert sorted(upgrades.order(topology)) == ["a", "b", "c"]
    assert upgrades.needed(topology)["a"] == ["b", "c"]


def test_what_does_not_serve_starts_together_once_what_it_needs_is_there() -> None:
    services = [
        pending("db", 0),
        pending("api", 1, "db", alone=False),
        pending("page", 2, "api", "db"),
        pending("new", 3, alone=False),
        pending("newer", 4, "new", alone=False),
    ]
    assert upgrades.steps(services) == [["new", "newer"], ["db"], ["api"], ["page"]]


def test_a_first_installation_is_one_step() -> None:
    services = [pending(name, turn, *NAMES[:turn], alone=False) for turn, name in enumerate(NAMES)]
    assert upgrades.steps(services) == [NAMES]
    assert upgrades.steps([]) == []


@given(
    st.lists(st.sets(st.sampled_from(NAMES)), min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(st.booleans(), min_size=len(NAMES), max_size=len(NAMES)),
)
def test_whatever_is_needed_was_worked_on_before_or_starts_with_it(
    wanted: list[set[str]], alone: list[bool]
) -> None:
    """Of services each of which needs some that stand before it in the inventory."""
    services = [make(name, needs=sorted(wanted[turn] & set(NAMES[:turn]))) for turn, name in enumerate(NAMES)]
    topology = Topology("dockfra", services)
    needs, order = upgrades.needed(topology), upgrades.order(topology)
    steps = upgrades.steps(
        pending(name, order.index(name), *needs[name], alone=alone[turn]) for turn, name in enumerate(NAMES)
    )
    where = {name: number for number, step in enumerate(steps) for name in step}
    assert sorted(where) == NAMES
    for turn, name in enumerate(NAMES):
        assert not alone[turn] or steps[where[name]] == [name]
        for other in needs[name]:
            assert where[other] <= where[name]
            assert where[other] < where[name] or not alone[turn]
