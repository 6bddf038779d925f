#!/usr/bin/env python3
"""Measure what a run costs, against a baseline measured in the same run; prints one JSON object.

Needs Docker and works on the tests' own platform (tests/inventory), which is removed first and at the end; with
DOCKFRA_KEEP=1 it stays.

    python tests/bench/run.py [--rounds 3] [--extra 30]

Figures are seconds of wall time, or of the processor (cpu); each is the median of its rounds, and rounds of what is compared alternate, so that a busy
machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent
INVENTORY = ROOT / "tests" / "inventory"

# The project's bars (docs/performance.md).
MAX_RATIO = 0.35
MAX_CPU_SECONDS = 2.6
MAX_SECONDS_PER_SERVICE = 0.01
MAX_WARM_START = 60.0


class BenchError(Exception):
    """A measured command failed."""


@dataclass(frozen=True)
class Measured:
    """A run that has ended: wall time and processor time of all its processes, in seconds, and its output."""

    seconds: float
    cpu: float
    output: str

    @property
    def changed(self) -> int:
        """The sum of all ``changed=`` in the recap."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ansible(*arguments: str | Path, inventories: tuple[Path, ...] = (INVENTORY,)) -> Measured:
    """Run ansible-playbook to its end; raises BenchError when it fails."""
    sources = [word for inventory in inventories for word in ("-i", str(inventory))]
    command = [str(Path(sys.executable).parent / "ansible-playbook"), *sources, *map(str, arguments)]
    environment = {
        **os.environ,
        "ANSIBLE_FORCE_COLOR": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    started, used = time.monotonic(), cpu_of_children()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    measured = Measured(time.monotonic() - started, cpu_of_children() - used, done.stdout)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return measured


def extra_inventory(folder: Path, count: int) -> Path:
    """Write an inventory with ``count`` small services more, on the image of the tests' own platform."""
    hosts = {
        f"bench-{number:02d}": {
            "dockfra_description": "Idle container of the benchmark",
            "dockfra_user": "bench",
            "dockfra_uid": 20000 + number,
            "dockfra_networks": ["dev-net"],
            "dockfra_image": os.environ.get("DOCKFRA_BENCH_IMAGE", "debian:trixie-slim"),
            "dockfra_command": ["sleep", "infinity"],
            "dockfra_health": [],
            "dockfra_memory": "16m",
        }
        for number in range(count)
    }
    path = folder / "extra.json"
    path.write_text(json.dumps({"app": {"hosts": hosts}}), encoding="utf-8")
    return path


def compare_runs(rounds: int, specs: Path) -> dict[str, float]:
    """Alternate no-change runs of the platform and of the baseline."""
    ours, plain = [], []
    for number in range(rounds):
        run = ansible("site.yml")
        if run.changed:
            raise BenchError(
                f"The platform's run {number + 1} was to change nothing but did:\n{run.output[-2000:]}"
            )
        ours.append(run)
        run = ansible(BENCH / "plain.yml", "-e", f"@{specs}")
        if run.changed:
            raise BenchError(
                f"The baseline changed something, so it measures something else:\n{run.output[-2000:]}"
            )
        plain.append(run)
        print(
            f"round {number + 1}: site.yml {ours[-1].seconds:.2f} s, {ours[-1].cpu:.2f} of the processor; "
            f"plain docker_container play {plain[-1].seconds:.2f} s",
            file=sys.stderr,
        )
    noop, baseline = (statistics.median(run.seconds for run in runs) for runs in (ours, plain))
    return {
        "site_noop_s": noop,
        "site_noop_cpu_s": statistics.median(run.cpu for run in ours),
        "plain_play_s": baseline,
        "ratio": noop / baseline,
    }


def cost_of_a_service(rounds: int, extra: int, folder: Path) -> float:
    """Return the seconds that one more service adds to a run with nothing to do."""
    inventories = (INVENTORY, extra_inventory(folder, extra))
    ansible("site.yml", inventories=inventories)
    more, fewer = [], []
    try:
        for number in range(rounds):
            more.append(ansible("site.yml", inventories=inventories).seconds)
            # The orphans of the other inventory must not be removed in between.
            fewer.append(ansible("site.yml", "--limit", "all:!bench-*", inventories=inventories).seconds)
            print(
                f"round {number + 1}: {extra} services more {more[-1]:.2f} s, without {fewer[-1]:.2f} s",
                file=sys.stderr,
            )
    finally:
        ansible("site.yml")
    return (statistics.median(more) - statistics.median(fewer)) / extra


def warm_start() -> float:
    """Return the seconds from no container to all healthy, with images present; the platform is up then."""
    remove()
    ansible("site.yml", "--tags", "images")
    return ansible("site.yml").seconds


def remove() -> None:
    """Remove the tests' own platform with its data; images stay."""
    ansible(
        *("playbooks/teardown.yml", "-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false"),
        # The tests' own platform, whatever it is called.
        *("-e", "dockfra_confirm={{ dockfra_project }}"),
    )


def measure(rounds: int, extra: int) -> dict[str, float]:
    """Return all figures; the platform is up afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        specs = folder / "specs.json"
        result = {"warm_start_s": warm_start()}
        ansible(BENCH / "export.yml", "-e", f"specs_file={specs}")
        result |= compare_runs(rounds, specs)
        result["seconds_per_service"] = cost_of_a_service(rounds, extra, folder)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extra", type=int, default=30, help="services added to measure the cost of one")
    parser.add_argument("--remove", action="store_true", help="measure nothing, remove the platform")
    options = parser.parse_args()
    try:
        if options.remove:
            remove()
            return 0
        result = measure(options.rounds, options.extra)
        if not os.environ.get("DOCKFRA_KEEP"):
            remove()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    result = {key: round(value, 3) for key, value in result.items()}
    met = (
        result["ratio"] <= MAX_RATIO
        and result["site_noop_cpu_s"] < MAX_CPU_SECONDS
        and result["seconds_per_service"] <= MAX_SECONDS_PER_SERVICE
        and result["warm_start_s"] <= MAX_WARM_START
    )
    print(
        json.dumps(
            {
                **result,
                "max_ratio": MAX_RATIO,
                "max_cpu_s": MAX_CPU_SECONDS,
                "max_seconds_per_service": MAX_SECONDS_PER_SERVICE,
                "max_warm_start_s": MAX_WARM_START,
                "met": met,
            }
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
