#!/usr/bin/env python3
"""Measure deploys on a running platform, beside an SSH call that does nothing; prints one JSON object.

    python tests/bench/deploys.py [--rounds 3]

On the tests' own platform (tests/inventory), which has to be up. The application's own tests are left out. At the end its code and
what serves are what they were. Exit status 1: a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from tests.e2e.support.deploys import APP, QUICK, Team  # noqa: E402  the path comes first
from tests.e2e.support.platform import Platform, eventually, read_topology  # noqa: E402

# The project's bars (docs/performance.md), in seconds.
MAX_UNCHANGED_S = 3.0
MAX_BACKEND_S = 15.0
MAX_SWITCH_S = 1.0
# From the push of a change of both targets to the moment when all serves it, by nobody's doing: so much more than the interval.
POLL_S = 5
MAX_LIVE_S = POLL_S + 30.0


def say(text: str) -> None:
    print(text, file=sys.stderr)


def timed(team: Team, line: str) -> tuple[float, list[dict[str, Any]]]:
    """The seconds of a command of the monitor, as who types it waits for them, and what it tells; raises ValueError."""
    begin = time.monotonic()
    done = team.monitor(f"{line} --json")
    seconds = time.monotonic() - begin
    if done.returncode:
        raise ValueError(f"{line}: {done.stderr.strip()}")
    return seconds, [json.loads(text) for text in done.stdout.splitlines()]


def switch_seconds(events: list[dict[str, Any]]) -> float:
    """From the moment when the service is asked to the one at which the new release has the requests."""
    at = {
        phase: event["elapsed"]
        for event in events
        for phase in ("asking", "settling")
        if event["event"] == "progress" and f"backend: {phase} " in event["text"]
    }
    return float(at["settling"] - at["asking"])


def live_seconds(team: Team) -> float:
    """From a push to the moment when frontend and backend serve it, the monitor being left to itself; raises AssertionError."""
    settings = ("MONITOR_AUTO_DEPLOY", "MONITOR_POLL_INTERVAL")
    team.platform.ssh("manager", f"config-monitor {settings[0]}=true {settings[1]}={POLL_S}")
    try:
        commit = team.push("Live", f"echo '# live' >>{APP}; echo '<!-- live -->' >>frontend/site/index.html")
        begin = time.monotonic()
        eventually(
            lambda: {team.serving(service)[-12:] for service in ("backend", "frontend")} == {commit[:12]},
            "frontend and backend serve what was pushed",
            4 * MAX_LIVE_S,
        )
        seconds = time.monotonic() - begin
        eventually(lambda: team.known("backend")["holder"] is None, "the deploy has ended")
        return seconds
    finally:
        team.platform.ssh("manager", f"config-monitor {settings[0]}=false {settings[1]}=")


def measure(team: Team, rounds: int) -> dict[str, Any]:
    say("deploying the code without its tests")
    team.push("Without tests", QUICK)
    team.deploy("deploy-all")
    nothing, unchanged, changed, switches, steps = [], [], [], [], []
    for number in range(rounds):
        begin = time.monotonic()
        team.monitor("true")
        nothing.append(time.monotonic() - begin)
        unchanged.append(timed(team, "deploy-all")[0])
        team.push(f"Backend {number}", f"echo '# {number}' >>{APP}")
        seconds, events = timed(team, "deploy-backend")
        changed.append(seconds)
        switches.append(switch_seconds(events))
        steps.append(
            {event["step"]: event["seconds"] for event in events if event.get("seconds") and "step" in event}
        )
        say(
            f"round {number + 1}: ssh true {nothing[-1]:.2f} s, unchanged {unchanged[-1]:.2f} s, backend {seconds:.2f} s"
            f" ({', '.join(f'{step} {taken:.2f}' for step, taken in steps[-1].items())}), switch {switches[-1]:.2f} s"
        )
    live = live_seconds(team)
    say(f"live {live:.2f} s after a push, looking every {POLL_S} s")
    return {
        "live_s": live,
        "ssh_true_s": statistics.median(nothing),
        "unchanged_s": statistics.median(unchanged),
        "backend_s": statistics.median(changed),
        "switch_s": statistics.median(switches),
        **{
            f"step_{step.lower().replace(' ', '_')}_s": statistics.median(each[step] for each in steps)
            for step in steps[0]
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    team = Team(Platform(read_topology()))
    try:
        with team.own_code():
            result = measure(team, options.rounds)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    result = {key: round(value, 3) for key, value in result.items()}
    bars = {
        "max_unchanged_s": MAX_UNCHANGED_S,
        "max_backend_s": MAX_BACKEND_S,
        "max_switch_s": MAX_SWITCH_S,
        "max_live_s": MAX_LIVE_S,
    }
    met = all(result[name.removeprefix("max_")] < most for name, most in bars.items())
    print(json.dumps({**result, **bars, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
