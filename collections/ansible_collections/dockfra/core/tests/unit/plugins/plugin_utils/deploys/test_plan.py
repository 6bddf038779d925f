# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a deploy and a rollback have to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, UsageError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import plan
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.configuration import Deployable
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.plan import Known, Step

ENTRIES = [
    Deployable("backend", "backend", "backend", "ssh-backend", "backend", 8081, "/health", "tree-of-image"),
    Deployable("mobile", "backend", "mobile", "ssh-backend", "mobile", 8082, "/health", "tree-of-image"),
]
COMMITS = {number: f"{number:x}" * 40 for number in range(1, 6)}
ONE, TWO, THREE, FOUR = (f"2026112{number}T131500Z-{COMMITS[number][:12]}" for number in range(1, 5))


class Copy:
    """A copy of the origin: the tree of each path at each commit."""

    def __init__(self, **trees: Mapping[str, str]) -> None:
        self.trees = {COMMITS[int(name.removeprefix("c"))]: value for name, value in trees.items()}

    def tree(self, commit: str, path: str) -> str:
        return self.trees.get(commit, {}).get(path, "")

    def known(self, commit: str) -> bool:
        return commit in self.trees


COPY: Any = Copy(
    c1={"backend": "b1", "mobile": "tree-of-image"},
    c2={"backend": "b2", "mobile": "m2"},
    c3={"backend": "b2", "mobile": "m3"},
    c4={"backend": "b1", "mobile": "m2"},
)


def known(current: str = "", *there: str, previous: str = "", **values: Any) -> Known:
    commits = {
        release: COMMITS[int(release[7])] for release in sorted({*there, *([current] if current else [])})
    }
    trees = values.get("trees", {})
    return Known(
        current,
        values.get("running", current),
        previous,
        commits,
        trees,
        values.get("crashed", ()),
        "",
        unserved=values.get("unserved", ()),
    )


def steps(found: list[Step]) -> dict[str, tuple[str, bool]]:
    return {step.entry.service: (step.after, step.build) for step in found}


def test_only_what_differs_is_built() -> None:
    there = {"backend": known(), "mobile": known()}
    [step] = plan.to_commit(COPY, ENTRIES, there, COMMITS[1])
    assert (step.entry.service, step.before, step.build) == ("backend", "", True)
    assert step.after.endswith(COMMITS[1][:12])
    there = {"backend": known(TWO), "mobile": known(TWO)}
    assert plan.to_commit(COPY, ENTRIES, there, COMMITS[2]) == []
    found = steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[3]))
    assert list(found) == ["mobile"]


def test_what_is_to_serve_and_does_not_is_deployed_anew() -> None:
    there = {"backend": known(TWO, running=ONE), "mobile": known(TWO)}
    assert steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[2])) == {"backend": (TWO, False)}
    there = {"backend": known(TWO, running=ONE, crashed=(TWO,)), "mobile": known(TWO)}
    assert steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[2]))["backend"][1]


def test_a_release_that_is_there_is_not_built_again_unless_it_is_older() -> None:
    there = {"backend": known(ONE, TWO), "mobile": known(TWO)}
    assert steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[2])) == {"backend": (TWO, False)}
    there = {"backend": known(TWO, ONE), "mobile": known(TWO)}
    assert steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[4]))["backend"][1]


def test_an_id_is_newer_than_all_also_where_the_clock_went_back() -> None:
    future = f"20990101T000000Z-{'3' * 12}"
    there = {
        "backend": Known(future, future, "", {future: COMMITS[3]}, {}, (), ""),
        "mobile": known(),
    }
    made = {step.after for step in plan.to_commit(COPY, ENTRIES, there, COMMITS[1])}
    assert all(release > future for release in made)


def test_what_failed_is_left_out_where_that_is_asked_for() -> None:
    there = {"backend": known(ONE), "mobile": known(ONE)}
    avoid = {"backend": [COMMITS[2]]}
    assert plan.to_commit(COPY, ENTRIES, there, COMMITS[2], avoid) == []
    # The same content under another commit is no newer.
    assert list(steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[3], avoid))) == ["mobile"]


def test_a_commit_without_a_service_is_refused() -> None:
    there = {"backend": known(), "mobile": known()}
    with pytest.raises(CommandError, match="has no directory backend"):
        plan.to_commit(COPY, ENTRIES, there, COMMITS[5])


def test_what_a_release_says_of_its_tree_counts_also_where_its_commit_is_forgotten() -> None:
    forgotten = {"backend": known(TWO, trees={TWO: "b1"}), "mobile": known(TWO, trees={TWO: ""})}
    forgotten["backend"] = forgotten["backend"]._replace(commits={TWO: COMMITS[5]})
    assert list(steps(plan.to_commit(COPY, ENTRIES, forgotten, COMMITS[4]))) == []
    [step] = plan.to_commit(COPY, ENTRIES, forgotten, COMMITS[2])
    assert (step.entry.service, step.tree) == ("backend", "b2")


def test_a_commit_that_is_forgotten_is_another() -> None:
    there = {"backend": Known(TWO, TWO, "", {TWO: COMMITS[5]}, {}, (), ""), "mobile": known(TWO)}
    assert list(steps(plan.to_commit(COPY, ENTRIES, there, COMMITS[2]))) == ["backend"]


def test_a_rollback_takes_back_the_last_change_only() -> None:
    there = {"backend": known(THREE, ONE, TWO, previous=TWO), "mobile": known(TWO, ONE, previous=ONE)}
    assert steps(plan.back(ENTRIES, there, "", {})) == {"backend": (TWO, False)}
    there = {"backend": known(TWO, ONE, THREE, previous=THREE), "mobile": known(TWO, ONE, previous=ONE)}
    assert steps(plan.back(ENTRIES, there, "", {})) == {"backend": (ONE, False), "mobile": (ONE, False)}
    there = {"backend": known(ONE), "mobile": known()}
    assert steps(plan.back(ENTRIES, there, "", {})) == {"backend": ("", False)}


def test_a_rollback_to_a_release_brings_what_served_then() -> None:
    there = {"backend": known(FOUR, ONE, THREE), "mobile": known(FOUR, TWO)}
    assert steps(plan.back(ENTRIES, there, THREE, {})) == {"backend": (THREE, False), "mobile": (TWO, False)}
    assert steps(plan.back(ENTRIES, there, ONE, {})) == {"backend": (ONE, False), "mobile": ("", False)}
    with pytest.raises(UsageError, match="there is no release"):
        plan.back(ENTRIES, there, "20200101T000000Z-000000000000", {})


def test_nobody_goes_back_to_what_never_served() -> None:
    """The second was to bring both and failed, then the backend changed alone."""
    there = {
        "backend": known(FOUR, ONE, TWO, THREE, unserved=(TWO,)),
        "mobile": known(ONE, ONE, TWO, unserved=(TWO,)),
    }
    assert steps(plan.back(ENTRIES, there, THREE, {})) == {"backend": (THREE, False)}
    assert steps(plan.back(ENTRIES, there, ONE, {})) == {"backend": (ONE, False)}
    with pytest.raises(UsageError, match=rf"{TWO} never served; there are {ONE}, {THREE}, {FOUR}"):
        plan.back(ENTRIES, there, TWO, {})
    there = {"backend": known(THREE, ONE, TWO, unserved=(TWO,)), "mobile": known()}
    assert steps(plan.back(ENTRIES, there, "", {})) == {"backend": (ONE, False)}


def test_nobody_goes_back_to_what_is_blamed() -> None:
    trees = {ONE: "b1", TWO: "b2", THREE: "b3"}
    there = {"backend": known(THREE, ONE, TWO, previous=TWO, trees=trees), "mobile": known()}
    assert steps(plan.back(ENTRIES, there, "", {}, {"backend": ["b2"]})) == {"backend": (ONE, False)}


def test_nobody_goes_back_to_what_failed() -> None:
    there = {"backend": known(THREE, ONE, TWO, previous=TWO), "mobile": known(ONE)}
    assert steps(plan.back(ENTRIES, there, "", {"backend": [COMMITS[2]]})) == {"backend": (ONE, False)}
    with pytest.raises(UsageError, match="nothing"):
        plan.back(ENTRIES, {"backend": known(), "mobile": known()}, "", {})
