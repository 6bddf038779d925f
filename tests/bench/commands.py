#!/usr/bin/env python3
"""Measure the roles' commands on a running platform: how soon they answer, and how fast tickets are made; prints one JSON object.

    python tests/bench/commands.py [--project NAME] [--state DIRECTORY]

By default on the tests' own platform (tests/inventory), which has to be up. Its tickets are set aside meanwhile, and put back
at the end and after an interruption; calls through the gate stay in the audit log. Each figure is the median of its rounds, and
rounds of what is compared alternate, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from tests.bench import store  # noqa: E402  the path comes first
from tests.e2e.support.platform import STATE, read_topology  # noqa: E402

# The project's bars (docs/performance.md).
MAX_LIST_S = 0.5
MAX_SSH_LIST_S = 0.3
MIN_CREATES_PER_S = 300
MIN_RATIO = 0.5

LISTED = 10_000
LISTED_SSH = 100

TICKETS = "/shared/tickets"
# Runs store.py, which comes on the input, with the library of the image.
PROGRAM = "import sys; sys.path.insert(0, '/usr/local/lib/dockfra/python'); exec(compile(sys.stdin.read(), 'store.py', 'exec'))"


class Platform:
    """A running platform, as its inventory named it.

    Args:
        project: the first part of its containers' names.
        state: its state directory.
    """

    def __init__(self, project: str, state: Path) -> None:
        self._project = project
        self._ssh = ["ssh", "-F", str(state / "ssh_config"), "-o", "BatchMode=yes", "ssh-manager"]

    def inside(self, service: str, operation: str, *arguments: str, directory: str = TICKETS) -> Any:
        """Run an operation of store.py in a service's container, as its user, and return the answer."""
        command = ["docker", "exec", "-i", f"{self._project}-{service}", "python3", "-I", "-c", PROGRAM]
        # In a session of its own: Ctrl-C is for this program, which then tells the container what to do.
        done = subprocess.run(
            [*command, operation, directory, *arguments],
            input=(BENCH / "store.py").read_bytes(),
            stdout=subprocess.PIPE,
            check=True,
            start_new_session=True,
        )
        return json.loads(done.stdout)

    @contextmanager
    def own_tickets(self) -> Iterator[None]:
        """The ticket directory is empty, for this program alone."""
        try:
            self.inside("ssh-manager", "set-aside")
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            say("putting the tickets back")
            self.inside("ssh-manager", "restore")

    def fill(self, count: int) -> None:
        """See to it that `ticket-list` lists this many tickets."""
        say(f"writing {count} tickets")
        self.inside("ssh-manager", "fill", str(count))
        done = subprocess.run([*self._ssh, "ticket-list", "--json"], capture_output=True, check=True)
        listed = len(json.loads(done.stdout)["tickets"])
        if listed != count:
            raise ValueError(f"ticket-list lists {listed} tickets instead of {count}")

    def over_ssh(self, rounds: int) -> dict[str, float]:
        """From this machine, through the published port, beside a command that does nothing."""
        nothing, listed = [], []
        for number in range(rounds):
            nothing.append(store.timed(*self._ssh, "true"))
            listed.append(store.timed(*self._ssh, "ticket-list"))
            say(f"round {number + 1}: ssh true {nothing[-1]:.3f} s, ssh ticket-list {listed[-1]:.3f} s")
        return {"ssh_true_s": statistics.median(nothing), "ssh_list_s": statistics.median(listed)}

    def in_container(self, service: str, rounds: int, *command: str) -> float:
        """The seconds of a command in a service's container, without those of docker exec."""
        found = self.inside(service, "timed", str(rounds), *command, directory="/")
        say(f"{' '.join(command)} at {service}: {', '.join(f'{seconds:.3f}' for seconds in found)} s")
        return statistics.median(found)


def say(text: str) -> None:
    print(text, file=sys.stderr)


def interrupted(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--project", default=read_topology().project, help="dockfra_project of the platform's inventory"
    )
    parser.add_argument("--state", type=Path, default=STATE, help="its dockfra_state_dir")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    platform = Platform(options.project, options.state)
    try:
        with platform.own_tickets():
            platform.fill(LISTED_SSH)
            result = platform.over_ssh(rounds=7)
            result["gate_list_s"] = platform.in_container(
                "ssh-autopilot", 7, "ssh", "-T", "ssh-manager", "ticket-list"
            )
            platform.fill(LISTED)
            result["list_s"] = platform.in_container("ssh-manager", 5, "ticket-list")
            say("creating tickets")
            result |= platform.inside("ssh-manager", "measure-writes", "3", "150")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        say(f"{error}")
        return 1
    result = {key: round(value, 3) for key, value in result.items()}
    met = (
        result["list_s"] < MAX_LIST_S
        and result["ssh_list_s"] < MAX_SSH_LIST_S
        and (result["creates_per_s"] >= MIN_CREATES_PER_S or result["creates_to_bare_loop"] >= MIN_RATIO)
    )
    bars = {
        "max_list_s": MAX_LIST_S,
        "max_ssh_list_s": MAX_SSH_LIST_S,
        "min_creates_per_s": MIN_CREATES_PER_S,
        "or_min_ratio": MIN_RATIO,
    }
    print(json.dumps({"tickets": LISTED, "tickets_over_ssh": LISTED_SSH, **result, **bars, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
