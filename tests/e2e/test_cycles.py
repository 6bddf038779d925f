"""The autopilot over many cycles of a platform on which all is well: nothing is changed, nothing grows, and a cycle costs little.

DOCKFRA_CYCLES says how many.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import as_role, data
from tests.e2e.test_autopilot import Pilot, eventually, pilot

__all__ = ["pilot"]

pytestmark = pytest.mark.slow

CYCLES = int(os.environ.get("DOCKFRA_CYCLES", "200"))
# Cycles after which whatever is kept for later is there.
WARM = 20
# Seconds of an idle cycle, and of the processors for it; bytes that the memory may grow, and files.
MOST_WALL, MOST_CPU = 3.0, 2.0
MOST_GROWTH, MOST_FILES = 8 * 1024 * 1024, 3
TICKS = os.sysconf("SC_CLK_TCK")


class Daemon:
    """The autopilot's daemon, as the machine sees it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        listed: Any = platform.container("ssh-autopilot").top(ps_args="-eo pid,args")
        [pid] = [pid for pid, words in listed["Processes"] if words.rstrip().endswith("daemon pilot")]
        self.process = Path("/proc", pid)

    def stands(self) -> dict[str, Any]:
        """What it says of itself: the number of the cycle, and how long the last one took."""
        found: dict[str, Any] = data(as_role(self._platform, "manager", "pilot-status --json"))["daemon"]
        return found

    def processor(self) -> float:
        """Seconds of the processors, its ended children counted; see proc(5), fields 14 to 17."""
        fields = (self.process / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def grown(self) -> dict[str, int]:
        """What may not grow."""
        status = (self.process / "status").read_text()
        [memory] = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")]
        count = "find /home/autopilot /run /tmp -xdev 2>/dev/null | wc -l"
        files = int(self._platform.run("ssh-autopilot", "sh", "-c", count).stdout)
        return {"memory": memory, "open files": len(list((self.process / "fd").iterdir())), "files": files}


def test_many_cycles_with_nothing_to_do_change_nothing(platform: Platform, pilot: Pilot) -> None:
    platform.wait_healthy(*platform.names)
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "all is well")
    daemon = Daemon(platform)
    pilot.set(AUTOPILOT_INTERVAL=1)
    eventually(lambda: daemon.stands()["cycle"] >= WARM, "it does not begin", 300)
    before, grown = platform.snapshot(), daemon.grown()
    first, used, walls = daemon.stands()["cycle"], daemon.processor(), {}
    deadline = time.monotonic() + CYCLES * 12
    while (stands := daemon.stands())["cycle"] < first + CYCLES:
        assert time.monotonic() < deadline, f"only {stands['cycle'] - first} cycles: {stands}"
        assert not stands["problem"], stands
        walls[stands["cycle"]] = stands["seconds"]
        time.sleep(2)
    cycles = stands["cycle"] - first
    cpu = (daemon.processor() - used) / cycles
    after = daemon.grown()
    wall = statistics.median(walls.values())
    print(json.dumps({"cycles": cycles, "wall": wall, "cpu": round(cpu, 3), "before": grown, "after": after}))
    assert pilot.log() == []
    builders = {f"container {platform.topology.container_name(name)}" for name in ("builder", "tester")}
    later = platform.snapshot()
    assert {name for name in before if before[name] != later.get(name)} <= builders
    assert after["memory"] - grown["memory"] < MOST_GROWTH
    assert after["open files"] <= grown["open files"] + MOST_FILES
    assert after["files"] <= grown["files"] + MOST_FILES
    assert wall < MOST_WALL
    assert cpu < MOST_CPU
