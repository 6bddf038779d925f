# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""When the autopilot's daemon does a cycle, and what it says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import pause
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    AutopilotError,
    CatalogueError,
    LockBusyError,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.cycle import Pilot, Report
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.means import Means
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.beside import Beside
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.pilot import Cycles
from ansible_collections.dockfra.core.tests.unit import piloting
from ansible_collections.dockfra.core.tests.unit.pilot_world import World


class Bench:
    """Cycles with a clock of their own, and a pilot that only counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder, piloting.written(folder), piloting.INVENTORY, piloting.POLICY)
        self.now, self.cycles = 1000.0, 0
        self.loads: Callable[[], Means] = self.world.means
        self.does: Callable[[], None] = lambda: None
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.daemon = Daemon("pilot", folder)
        self.daemon.log = lambda event, **fields: self.said.append((event, fields))  # type: ignore[method-assign]
        self.work = Cycles(self.daemon, self.load, self.made, lambda: self.now)

    def load(self) -> Means:
        return self.loads()

    def made(self, means: Means, tell: Callable[[str], None]) -> Pilot:
        bench = self

        class Counting(Pilot):
            def cycle(self, who: str, *, dry: bool = False) -> Report:
                bench.cycles += 1
                tell("restart service/web")
                bench.does()
                return Report(bench.cycles, time.time(), 0.5)

        return Counting(means)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            self.work.look()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return Bench(tmp_path)


def test_there_is_a_cycle_at_each_interval_and_another_one_holds_at_once(bench: Bench) -> None:
    bench.pass_time(59)
    assert bench.cycles == 0
    bench.pass_time(125)
    assert bench.cycles == 3
    bench.world.set(AUTOPILOT_INTERVAL=5)
    bench.pass_time(50)
    assert 10 <= bench.cycles - 3 <= 11
    bench.world.set(AUTOPILOT_INTERVAL=3600)
    bench.pass_time(600)
    assert bench.cycles <= 14


def test_switched_off_and_paused_it_does_nothing_and_goes_on_afterwards(bench: Bench) -> None:
    bench.world.set(AUTOPILOT_INTERVAL=5, AUTOPILOT_ENABLED=False)
    bench.pass_time(100)
    assert bench.cycles == 0
    bench.world.set(AUTOPILOT_ENABLED=True)
    bench.pass_time(3)
    assert bench.cycles == 1
    path = bench.world.state / "paused.json"
    pause.pause(path, "manager")
    bench.pass_time(100)
    assert bench.cycles == 1
    pause.resume(path)
    bench.pass_time(2)
    assert bench.cycles == 2


def test_one_cycle_that_fails_is_told_once_and_three_make_the_container_unhealthy(bench: Bench) -> None:
    def fails() -> None:
        raise AutopilotError("the disk is full")

    bench.does = fails
    bench.world.set(AUTOPILOT_INTERVAL=5)
    bench.pass_time(6)
    assert bench.work.problems() == []
    assert bench.work.state()["problem"] == "the disk is full"
    bench.pass_time(10)
    assert bench.work.problems() == ["the disk is full"]
    assert bench.said == [("cycle", {"problem": "the disk is full"})]
    bench.does = lambda: None
    bench.pass_time(6)
    assert (bench.work.problems(), bench.work.state()["problem"]) == ([], "")


def test_a_cycle_of_a_person_counts_as_its_own(bench: Bench) -> None:
    def busy() -> None:
        raise LockBusyError("somebody", {})

    bench.does = busy
    bench.pass_time(300)
    assert (bench.work.problems(), bench.work.state()["failed"]) == ([], 0)


def test_a_catalogue_that_is_wrong_is_told_with_its_line_and_read_again(bench: Bench) -> None:
    right = bench.loads

    def wrong() -> Means:
        raise CatalogueError("catalogue.yml:7: it cannot be meant")

    bench.loads = wrong
    bench.pass_time(130)
    assert bench.cycles == 0
    assert bench.work.problems() == ["catalogue.yml:7: it cannot be meant"]
    bench.loads = right
    bench.pass_time(122)
    assert bench.cycles > 0
    assert bench.work.problems() == []


def test_how_it_stands_is_written_while_a_cycle_is_under_way(bench: Bench) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.append(str(bench.work.state()["doing"]))

    bench.does = look
    bench.pass_time(61)
    assert seen == ["restart service/web"]
    beside = Beside(bench.daemon, bench.work, bench.folder / "pilot.json", 60)
    assert list(beside.step()) == []
    beside.close()
    written = json.loads((bench.folder / "pilot.json").read_text())
    assert (written["doing"], written["cycle"], written["seconds"]) == ("", 1, 0.5)
