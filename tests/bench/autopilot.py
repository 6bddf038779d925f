#!/usr/bin/env python3
"""Measure what the autopilot costs while nothing happens, and how fast it decides; prints one JSON object.

    python tests/bench/autopilot.py [--cycles 20] [--tickets 1000]

Cycles are real, with ansible-runner and the project's catalogue; gates are small programs that stand where ssh does. The exit status is
1 when a bar is missed, or when memory, open files or files on the disk have grown.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import planner  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.judgement import Circumstances  # noqa: E402
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.cycle import Pilot  # noqa: E402
from ansible_collections.dockfra.core.tests.unit.pilot_world import World  # noqa: E402

# The bars: seconds of an idle cycle, of its processors, and of a decision; KiB that memory may grow.
MAX_WALL, MAX_CPU, MAX_DECIDING = 3.0, 2.0, 0.150
MAX_GROWTH = 4 * 1024


def ticket(number: int) -> dict[str, Any]:
    values = {"id": f"T-{number:04d}", "title": f"Ticket {number}", "status": "open", "priority": "normal"}
    made = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return {**values, "assigned_to": "developer", "labels": [], "created_by": "manager", "updated_at": made}


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def standing(folder: Path) -> tuple[int, int, int]:
    """KiB that are resident, open files, and files of all that the autopilot writes."""
    memory = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(memory.split()[1]), len(os.listdir("/proc/self/fd")), sum(1 for _path in folder.rglob("*"))


def idle(world: World, cycles: int) -> dict[str, Any]:
    pilot = Pilot(world.means())
    walls, cpus = [], []
    pilot.cycle("bench")
    pilot.cycle("bench")
    before = standing(world.folder)
    for _cycle in range(cycles):
        wall, used = time.monotonic(), cpu()
        report = pilot.cycle("bench")
        walls.append(time.monotonic() - wall)
        cpus.append(cpu() - used)
        if report.decisions or report.problems:
            raise SystemExit(f"a cycle was not idle: {report}")
    after = standing(world.folder)
    if world.effects():
        raise SystemExit("an idle cycle changed something")
    return {
        "cycles": cycles,
        "wall": round(statistics.median(walls), 3),
        "cpu": round(statistics.median(cpus), 3),
        "grown": dict(
            zip(
                ("memory_kib", "open_files", "files"),
                (b - a for a, b in zip(before, after, strict=True)),
                strict=True,
            )
        ),
    }


def deciding(world: World, tickets: int) -> float:
    """Seconds that planning and judging take over so many tickets, the median of nine."""
    world.write(tickets=[ticket(number) for number in range(1, tickets + 1)])
    means = world.means()
    snapshot = means.gatherer().look(1).snapshot
    if len(snapshot.tickets) != tickets:
        raise SystemExit("not all tickets were seen")
    around, times = Circumstances("act"), []
    for _round in range(9):
        begin = time.monotonic()
        past = means.ledger.past(time.time())
        for proposal in planner.plan(means.actions, means.inventory, snapshot, past):
            means.engine.judge(proposal, snapshot, past, around)
        times.append(time.monotonic() - begin)
    return round(statistics.median(times), 4)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--tickets", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        world = World.of(Path(name), ROOT)
        found = idle(world, options.cycles)
        found["deciding"] = deciding(world, options.tickets)
    grown = found["grown"]
    missed = {
        "wall": found["wall"] > MAX_WALL,
        "cpu": found["cpu"] > MAX_CPU,
        "deciding": found["deciding"] > MAX_DECIDING,
        "grown": grown["memory_kib"] > MAX_GROWTH or grown["open_files"] > 0 or grown["files"] > 0,
    }
    found["missed"] = [name for name, wrong in missed.items() if wrong]
    print(json.dumps(found))
    return int(bool(found["missed"]))


if __name__ == "__main__":
    sys.exit(main())
