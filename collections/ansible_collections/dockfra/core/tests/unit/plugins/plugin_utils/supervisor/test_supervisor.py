# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the supervisor tells its instances, step by step; no process runs and no time passes by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.releases import links, spec_file, state
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor import supervisor
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.instance import Instance, Problem
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.source import Source, Sources
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.supervisor import Supervisor

RELEASE = "20261125T131500Z-0123456789ab"
SPEC = "kind: python\nstart: {app: 'application:app'}\nsettle_seconds: 5\n"


class Made(Instance):
    """One that does at once what it is told; it retires when it does not accept any more, as processes do."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.told: list[str] = []

    def start(self, prove: bool) -> None:
        self.proved = True

    def pump(self) -> None:
        if "retire" in self.told and not self.accepting:
            self.gone = True

    def accept(self) -> None:
        self.admitted = self.accepting = True

    def drain(self) -> None:
        self.told.append("drain")
        self.accepting = False

    def resume(self) -> None:
        self.told.append("resume")
        self.accepting = True

    def retire(self) -> None:
        self.told.append("retire")

    def stop(self, seconds: float) -> None:
        self.gone = True
        self.accepting = False

    def watch(self) -> None:
        self.told.append("watch")


class World:
    """A service with one release, and the clock that its supervisor sees."""

    def __init__(self, root: Path) -> None:
        self.now = 1000.0
        self.app, self.releases, self.states = root / "app", root / "releases", root / "states"
        for folder in (self.app, self.releases / RELEASE / links.CONTENT, self.states):
            folder.mkdir(parents=True)
            (folder / "spec.json").write_bytes(spec_file.parse(SPEC.encode()).to_json())
        self.made: list[Made] = []
        sources = Sources(str(self.app), str(self.releases))
        self.supervisor = Supervisor(sources, str(self.states), self._make, lambda *_text, **_fields: None)
        self.steps(3)

    def _make(self, source: Source) -> Made:
        self.made.append(Made(source))
        return self.made[-1]

    def steps(self, number: int) -> None:
        for _step in range(number):
            self.supervisor.step()

    def ask(self) -> None:
        links.point(self.releases, links.NEXT, RELEASE)
        self.steps(3)

    def result(self) -> str:
        found = state.read(self.states)
        return found.tried.result if found and found.tried else ""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    holder: list[World] = []
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: holder[0].now if holder else 1000.0)
    holder.append(World(tmp_path))
    return holder[0]


@pytest.mark.parametrize("left", ["gone", "problem"])
def test_a_release_that_is_withdrawn_when_the_old_one_has_ended_accepts_no_more(
    world: World, left: str
) -> None:
    world.ask()
    old, new = world.made
    assert world.result() == "settling"
    assert new.accepting
    old.problem = Problem("crashed", "it ended by SIGKILL")
    old.gone = left == "gone"
    world.supervisor.step()
    links.remove(world.releases, links.NEXT)
    world.steps(5)
    assert world.result() == "withdrawn"
    assert new.told[-2:] == ["drain", "retire"]
    assert not new.accepting
    assert (old.gone, new.gone) == (True, True)
    [serving] = world.supervisor.instances()
    assert (serving.release, serving.accepting) == ("", True)


def test_a_release_that_owes_an_answer_is_not_ready(world: World) -> None:
    world.ask()
    old, new = world.made
    new.answers = False
    world.now += 6
    world.steps(2)
    assert world.result() == "settling"
    assert not old.gone
    new.answers = True
    world.steps(2)
    assert (world.result(), "retire" in old.told) == ("ready", True)


def test_a_release_that_owes_an_answer_for_long_is_taken_back(world: World) -> None:
    world.ask()
    old, new = world.made
    new.answers = False
    world.now += 5
    world.steps(2)
    new.problem = Problem("hung", "it does not answer for 5 s")
    world.steps(2)
    assert world.result() == "hung"
    assert (old.accepting, new.gone) == (True, True)


def test_a_release_that_is_withdrawn_leaves_the_old_one_serving(world: World) -> None:
    world.ask()
    old, new = world.made
    links.remove(world.releases, links.NEXT)
    world.steps(3)
    assert (old.told, old.accepting) == (["drain", "resume"], True)
    assert (new.accepting, new.gone) == (False, True)
    assert world.supervisor.instances() == [old]
