"""The fault bench: each fault of a running platform ends as it is to end, by the rules and by a model, and nothing else is changed.

Each test injects one fault and then only looks: at containers, releases, tickets and alerts, never at what somebody says of them. The time from
the fault to its end is measured; all times are in `faults.json` beside the reports. The ordinary form has a short interval. With
DOCKFRA_FAULT_BENCH=1 it is the autopilot's own, and the median of each planner has to be under two of them.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import runs
from tests.e2e.support.deploys import QUICK, Team
from tests.e2e.support.faults import Fault
from tests.e2e.support.faults_told import FAULTS, REPAIRED
from tests.e2e.support.planners import PLANNERS
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.roles import as_role, data
from tests.e2e.test_autopilot import Pilot

pytestmark = pytest.mark.slow

BENCH = bool(os.environ.get("DOCKFRA_FAULT_BENCH"))
# Seconds between two cycles; of the bench those that the autopilot has by itself.
INTERVAL = 60 if BENCH else 10
# The cycles after the end in which nothing more may happen.
QUIET = 2

AUDIT = "/shared/logs/audit/ssh-monitor.jsonl"
# Verdicts of what was really begun.
BEGUN = ("done", "failed", "undone")


@dataclass
class Times:
    """What was measured.

    Attributes:
        found: fault, planner and seconds of each.
    """

    found: list[dict[str, Any]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        planners = {entry["planner"] for entry in self.found}
        medians = {name: round(statistics.median(self._of(name)), 1) for name in sorted(planners)}
        return {"interval": INTERVAL, "medians": medians, "faults": self.found}

    def _of(self, planner: str) -> list[float]:
        return [entry["seconds"] for entry in self.found if entry["planner"] == planner]


@pytest.fixture(scope="module")
def times() -> Iterator[Times]:
    """Written down and printed at the end; in the bench the medians have to be under two intervals."""
    found = Times()
    yield found
    report = found.report()
    runs.REPORTS.mkdir(parents=True, exist_ok=True)
    (runs.REPORTS / "faults.json").write_text(f"{json.dumps(report, indent=1)}\n")
    print(json.dumps(report))
    if BENCH:
        slow = {name: median for name, median in report["medians"].items() if median >= 2 * INTERVAL}
        assert not slow, f"these took two intervals and more: {slow}"


@pytest.fixture(scope="module")
def team(platform: Platform) -> Iterator[Team]:
    found = Team(platform)
    with found.own_code():
        yield found


@pytest.fixture(scope="module")
def good(team: Team) -> str:
    """The code's own tests do not run, so that deploys take seconds; the commit."""
    commit = team.push("Without tests", QUICK)
    team.deploy("deploy-all")
    return commit


@pytest.fixture(scope="module")
def planner(
    request: pytest.FixtureRequest, platform: Platform, good: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Who plans."""
    folder: Path = tmp_path_factory.mktemp("planner")
    with PLANNERS[request.param](platform, folder):
        yield request.param


def subject(parameters: Mapping[str, str]) -> str:
    """What an action with these parameters is about."""
    return next(parameters[name] for name in ("service", "target", "ticket") if name in parameters)


class Scene:
    """The platform around one fault: how it was, and what the autopilot has done since.

    Args:
        platform: it.
        fault: which is injected.
    """

    def __init__(self, platform: Platform, fault: Fault) -> None:
        self.platform, self.fault, self.pilot = platform, fault, Pilot(platform)
        self._before: dict[str, str] = {}
        self._since = 0.0

    def begin(self) -> None:
        """Let all be well, and nothing be remembered; then let the autopilot act."""
        self._close_tickets()
        self.pilot.forget()
        self.fault.prepare()
        self.platform.wait_healthy(*self.platform.names)
        eventually(lambda: self.platform.ssh("monitor", "status").returncode == 0, "all is well", 120)
        self._before, self._since = self._started(), time.time()
        self.pilot.set(AUTOPILOT_INTERVAL=INTERVAL, AUTOPILOT_MODE="act", AUTOPILOT_ENABLED="true")

    def end(self) -> None:
        """Let all be as it was."""
        self.pilot.set(AUTOPILOT_ENABLED="false", AUTOPILOT_INTERVAL="", AUTOPILOT_MODE="")
        # A cycle that is under way ends.
        eventually(lambda: not self._at_work(), "the autopilot rests", 400)
        self.fault.restore()
        self.platform.wait_healthy(*self.platform.names, timeout=180)
        eventually(lambda: self.platform.ssh("monitor", "status").returncode == 0, "all is well", 120)
        self._close_tickets()
        self.pilot.forget()

    def over(self) -> bool:
        """Whether the fault has ended as it is to end."""
        told = self.fault.allowed.told
        if told and not (self._tickets() and self._alerts()):
            return False
        return self.fault.mended()

    def check(self, planner: str) -> None:
        """Fail where anything else was changed, or people were told of anything else or twice."""
        allowed = self.fault.allowed
        moved = {name for name, started in self._started().items() if self._before.get(name) != started}
        assert moved <= {*allowed.restarts, *allowed.moves}
        effects = [entry for entry in self.pilot.log() if entry["verdict"] in BEGUN]
        done = Counter((entry["action"], subject(entry["parameters"])) for entry in effects)
        most = Counter({("request-restart", name): count for name, count in allowed.restarts.items()})
        most += Counter(("request-rollback", name) for name in allowed.rollbacks)
        if allowed.told:
            most += Counter([("ticket-create", allowed.told), ("alert", allowed.told)])
        raised = {key: count for key, count in done.items() if key[0] == "ticket-raise"}
        assert sum(raised.values()) == allowed.raised
        too_much = {key: count for key, count in done.items() if key not in raised and count > most[key]}
        assert not too_much, f"more than {most}: {too_much}"
        by = {entry["planner"] for entry in effects}
        assert by <= ({"llm"} if planner == "model" else {"rules"})
        self._check_told(allowed.told, allowed.evidence)

    def _check_told(self, about: str, evidence: str) -> None:
        tickets = self._tickets()
        assert len(tickets) == bool(about)
        assert self._alerts() == ([about] if about else [])
        for ticket in tickets:
            assert about in ticket["labels"]
            shown = data(as_role(self.platform, "manager", f"ticket-show {ticket['id']} --json"))
            assert evidence in shown["description"]

    def _tickets(self) -> list[dict[str, Any]]:
        listed = data(as_role(self.platform, "manager", "ticket-list --label=autopilot --json"))["tickets"]
        return [ticket for ticket in listed if ticket["status"] != "closed"]

    def _alerts(self) -> list[str]:
        """The services of which people were told because the autopilot asked for that."""
        lines = self.platform.run("ssh-monitor", "grep", "-F", '"alert"', AUDIT).stdout.splitlines()
        found = [json.loads(line).get("alert") for line in lines if line.startswith("{")]
        asked = (each for each in found if each and str(each["detail"]).startswith("the autopilot says: "))
        return [str(each["service"]) for each in asked if each["time"] >= self._since]

    def _started(self) -> dict[str, str]:
        return {
            name: str(self.platform.container(name).attrs["State"]["StartedAt"])
            for name in self.platform.names
        }

    def _at_work(self) -> bool:
        stands = data(as_role(self.platform, "manager", "pilot-status --json"))
        return bool(stands["daemon"] and stands["daemon"]["doing"])

    def _close_tickets(self) -> None:
        for ticket in self._tickets():
            done = as_role(self.platform, "manager", f"ticket-update {ticket['id']} --close")
            assert done.returncode == 0, done.stderr


def ends(scene: Scene, name: str, planner: str, times: Times) -> None:
    """Inject a fault, and see it end as it is to end; the time that took is noted."""
    fault = scene.fault
    scene.begin()
    try:
        fault.inject()
        begun = time.monotonic()
        while not scene.over():
            waited = time.monotonic() - begun
            assert waited < fault.seconds + 3 * INTERVAL, f"{name} has not ended after {waited:.0f} s"
            time.sleep(1)
        seconds = round(time.monotonic() - begun, 1)
        kind = "repaired" if name in REPAIRED else "told"
        times.found.append({"fault": name, "planner": planner, "kind": kind, "seconds": seconds})
        time.sleep(QUIET * INTERVAL)
        assert scene.over()
        scene.check(planner)
    finally:
        scene.end()


@pytest.mark.parametrize("planner", ["rules", "model"], indirect=True)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_as_it_is_to_end(
    planner: str, name: str, platform: Platform, team: Team, good: str, times: Times
) -> None:
    ends(Scene(platform, FAULTS[name](team, good)), name, planner, times)


@pytest.mark.parametrize("planner", ["nonsense"], indirect=True)
@pytest.mark.parametrize("name", ["database down", "bad release later", "off its network"])
def test_a_model_that_talks_nonsense_changes_no_end(
    planner: str, name: str, platform: Platform, team: Team, good: str, times: Times
) -> None:
    ends(Scene(platform, FAULTS[name](team, good)), name, planner, times)
