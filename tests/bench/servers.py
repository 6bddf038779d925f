#!/usr/bin/env python3
"""Measure what a run with nothing to do costs on two servers, beside the same on one host; prints one JSON object.

Both platforms have to be up as the tests leave them: that of tests/inventory (``DOCKFRA_KEEP=1 ./run-tests.sh e2e``), and that of
molecule's scenario `production` (``DOCKFRA_KEEP=1 ./run-tests.sh servers``).

    python tests/bench/servers.py [--rounds 5]

Figures are seconds, the median of the rounds; runs of the two alternate, so that a busy machine slows both alike. The exit status is
1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.run import BenchError, ansible  # noqa: E402

# The bar: how much longer a run on two servers may take.
MAX_RATIO = 1.5

ONE = "tests/inventory"
TWO = "molecule/production/inventory"
OPTIONS = {
    ONE: [],
    TWO: [
        "-e",
        "dockfra_build_host=localhost",
        "--vault-id",
        f"production@{ROOT}/tests/servers/vault_password.py",
    ],
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {"one_host": [], "two_servers": []}
    # The first round is not counted: what it leaves in caches is there for all others.
    for number in range(rounds + 1):
        for name, inventory in (("one_host", ONE), ("two_servers", TWO)):
            measured = ansible("site.yml", *OPTIONS[inventory], inventories=(ROOT / inventory,))
            if measured.changed:
                raise BenchError(f"{name}: the platform was not at rest:\n{measured.output[-2000:]}")
            if number:
                seconds[name].append(measured.seconds)
    median = {name: round(statistics.median(values), 2) for name, values in seconds.items()}
    ratio = round(median["two_servers"] / median["one_host"], 2)
    print(json.dumps({"seconds": median, "ratio": ratio, "bar": MAX_RATIO, "rounds": rounds}, indent=2))
    return int(ratio > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
