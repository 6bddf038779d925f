#!/usr/bin/env python3
"""Measure the ticket store beside a bare loop of write, fsync and rename; prints one JSON object.

    python tests/bench/tickets.py [--rounds 5] [--creates 300] [--tickets 10000] [--directory DIR]

Rounds of the store and of the bare loop alternate on one disk, and each of these figures is the median of its rounds.
The store does more than the bare loop for each ticket: it locks, remembers the number, and has the directory on disk as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "collections"
sys.path[:0] = [str(ROOT), str(COLLECTIONS)]

from ansible_collections.dockfra.core.plugins.module_utils.tickets.query import Filter  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore  # noqa: E402
from tests.bench.store import fill, measure_writes  # noqa: E402

# The project's bars (issue "Tickets, the gate between roles, and the roles' commands").
MIN_CREATES_PER_S = 300
MIN_RATIO = 0.5
MAX_SELECT_S = 0.35

LIST = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
assert len(TicketStore(sys.argv[2]).select().tickets) == int(sys.argv[3])
"""


def seconds(work: Any, rounds: int) -> float:
    """Return the seconds that some work takes in its fastest round: other work on the machine only adds."""
    found = []
    for _round in range(rounds):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def measure_reads(directory: Path, rounds: int, count: int) -> dict[str, float]:
    """List many tickets, in this process and in one that only does that."""
    directory.mkdir()
    fill(directory, count)
    store = TicketStore(directory)
    command = [sys.executable, "-I", "-c", LIST, str(COLLECTIONS), str(directory), str(count)]
    return {
        "tickets": count,
        "select_s": seconds(store.select, rounds),
        "select_filtered_s": seconds(lambda: store.select(Filter(status=["open"], text="NOTHING")), rounds),
        "process_s": seconds(lambda: subprocess.run(command, check=True), rounds),
        "process_without_tickets_s": seconds(
            lambda: subprocess.run([sys.executable, "-I", "-c", "pass"], check=True), rounds
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--creates", type=int, default=300, help="tickets created in each round")
    parser.add_argument("--tickets", type=int, default=10_000, help="tickets to list")
    parser.add_argument("--directory", type=Path, default=ROOT / ".tests", help="on the disk to measure")
    options = parser.parse_args()
    options.directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        writes = measure_writes(Path(name), options.rounds, options.creates)
        reads = measure_reads(Path(name) / "many", options.rounds, options.tickets)
    result = {key: round(value, 3) for key, value in (writes | reads).items()}
    fast = result["creates_per_s"] > MIN_CREATES_PER_S or result["creates_to_bare_loop"] > MIN_RATIO
    bars = {"min_creates_per_s": MIN_CREATES_PER_S, "or_min_ratio": MIN_RATIO, "max_select_s": MAX_SELECT_S}
    met = fast and result["select_s"] < MAX_SELECT_S
    print(json.dumps({**result, **bars, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
