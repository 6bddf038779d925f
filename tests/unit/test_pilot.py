"""Cycles of the autopilot with this project's catalogue, in a small world: what is done, what is not, and what is written down."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.autopilot import approvals, pause
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.advisor import Proposed
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import Decision, Ledger
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.past import Past
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.schema import Proposal
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.snapshot import Budget, Snapshot
from ansible_collections.dockfra.core.plugins.module_utils.errors import LedgerError, LLMUnavailableError
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import cycle as cycles
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import effects, playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.cycle import Pilot, Report
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.gather import Gatherer, Seen
from ansible_collections.dockfra.core.tests.unit import pilot_child
from ansible_collections.dockfra.core.tests.unit.pilot_world import (
    COMMIT,
    World,
    cut_off,
    exited,
    service,
    unhealthy,
)
from ansible_collections.dockfra.core.tests.unit.support import slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(playbook, "PYTHON", playbook.PYTHON)
    monkeypatch.setattr(playbook, "COLLECTIONS", playbook.COLLECTIONS)
    monkeypatch.setattr(effects, "PAUSE", 0.1)
    made = World.of(tmp_path, ROOT)
    yield made
    assert playbook._marked(str(tmp_path)) == []
    assert list((tmp_path / "runs").iterdir()) == []


def cycle(world: World, **options: Any) -> Report:
    dry = options.pop("dry", False)
    return Pilot(world.means(), **options).cycle("test", dry=dry)


def told(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [(each.action, each.subject, each.verdict) for each in decisions]


def test_while_all_is_well_nothing_is_done_and_nothing_is_written(world: World) -> None:
    report = cycle(world)
    assert (report.problems, report.decisions, world.effects()) == ([], [], [])
    assert not (world.state / "ledger.jsonl").exists()


def test_what_stopped_is_restarted_once_proved_and_written_down(world: World) -> None:
    world.put(exited("redis"))
    world.write(heals=["redis"])
    report = cycle(world)
    assert told(report.decisions) == [("request-restart", "service/redis", "done")]
    decision = report.decisions[0]
    assert decision.before["fault"] == "stopped"
    assert decision.after["fault"] == "none"
    assert any(said.startswith("container/redis: exited") for said in decision.evidence)
    assert cycle(world).decisions == []
    assert world.effects() == [["request-restart", "redis"]]
    [kept] = world.means().ledger.decisions()
    assert kept.to_dict() | {"time": ""} == decision.to_dict() | {"time": ""}
    lines = list(chain.read(world.means().audit.path))
    assert [(line["caller"], line["verb"], line["verdict"]) for line in lines] == [
        ("rules", "request-restart", "begun"),
        ("rules", "request-restart", "done"),
    ]
    assert {line["effect"] for line in lines} == {decision.id}


@pytest.mark.slow
def test_what_is_needed_is_restarted_first_and_its_dependants_are_left_alone(world: World) -> None:
    world.put(exited("db"), unhealthy("backend"), unhealthy("mobile-backend"))
    world.write(heals=["db"], breaks={"db": {name: service(name) for name in ("backend", "mobile-backend")}})
    assert told(cycle(world).decisions) == [("request-restart", "service/db", "done")]
    assert cycle(world).decisions == []
    assert world.effects() == [["request-restart", "db"]]


def test_a_restart_that_exits_0_and_changes_nothing_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(exited("redis"))
    means = world.means()
    short = means.actions.actions["request-restart"]
    object.__setattr__(short, "within", 3)
    report = Pilot(means).cycle("test")
    assert told(report.decisions) == [("request-restart", "service/redis", "failed")]
    assert "service.fault is none does not hold" in report.decisions[0].result


def test_a_restart_that_does_not_help_holds_nothing_else_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second repair, a ticket and an alert are done while the proof of the first is waited for; and what fails meanwhile is repaired."""
    monkeypatch.setattr(effects, "PAUSE", 1.5)  # each look at the world is a run of Ansible
    world.put(exited("redis"), exited("db"), cut_off("frontend"))
    world.write(heals=["db", "git"])
    means = world.means()
    object.__setattr__(means.actions.actions["request-restart"], "within", 40)

    def git_ends() -> None:
        # All that can be done has been, and it is waited for redis.
        while len(world.effects()) < 4:
            time.sleep(0.1)
        # A gate that answers just now writes what it has read.
        with (world.gate / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            world.put(exited("git"))

    later = threading.Thread(target=git_ends, daemon=True)
    later.start()
    report = Pilot(means).cycle("test")
    later.join(60)
    asked = [effect[:2] for effect in world.effects()]
    assert sorted(asked[:4]) == [
        ["request-alert", "frontend"],
        ["request-restart", "db"],
        ["request-restart", "redis"],
        ["ticket-create", *asked[[each[0] for each in asked].index("ticket-create")][1:]],
    ]
    assert asked[4:] == [["request-restart", "git"]]
    verdicts = {
        subject: verdict for action, subject, verdict in told(report.decisions) if action == "request-restart"
    }
    assert verdicts == {"service/redis": "failed", "service/db": "done", "service/git": "done"}
    assert world.means().ledger.open() == []


@pytest.mark.slow
def test_one_that_is_refused_failed_with_the_reason_and_is_not_repeated_at_once(world: World) -> None:
    world.put(exited("redis"))
    world.write(refuses=["request-restart"])
    report = cycle(world)
    assert told(report.decisions) == [("request-restart", "service/redis", "failed")]
    assert "it is refused" in report.decisions[0].result
    assert cycle(world).decisions == []
    assert len(world.effects()) == 1


def test_what_cannot_be_repaired_ends_in_one_ticket_and_one_alert_with_the_evidence(world: World) -> None:
    world.put(cut_off("frontend"))
    for _cycle in range(2):
        cycle(world)
    assert [effect[0] for effect in world.effects()] == ["ticket-create", "request-alert"]
    [ticket] = world.read()["tickets"]
    assert "frontend is unreachable" in ticket["title"]
    assert "container/frontend: running healthy" in ticket["description"]


# What a person approves is tried below.
@pytest.mark.parametrize(
    "mode", ["observe", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("suggest", "approve"))]
)
def test_a_mode_that_does_not_act_changes_nothing_and_says_so_once(world: World, mode: str) -> None:
    world.set(AUTOPILOT_MODE=mode)
    world.put(exited("redis"), cut_off("frontend"))
    verdict = {"observe": "refused", "suggest": "suggested", "approve": "waiting"}[mode]
    first = told(cycle(world).decisions)
    assert ("request-restart", "service/redis", verdict) in first
    assert cycle(world).decisions == []
    assert not [effect for effect in world.effects() if effect[0].startswith("request-restart")]
    assert bool(world.effects()) == (mode == "approve")


def test_that_too_much_waits_for_people_keeps_nothing_from_being_told(world: World) -> None:
    world.set(AUTOPILOT_MODE="approve")
    world.put(exited("redis"), cut_off("frontend"))
    means, now = world.means(), time.time()
    for number in range(approvals.MOST):
        means.approvals.ask(approvals.Request(f"{number:064d}", "x", {}, "high", (), now), now)
    report = cycle(world)
    assert report.problems == [
        f"request-restart service/redis: {approvals.MOST} plans wait already; approve or reject some"
    ]
    assert [effect[0] for effect in world.effects()] == ["ticket-create", "request-alert"]


def test_what_a_model_wants_leaves_room_for_what_the_rules_ask_for(world: World) -> None:
    world.set(AUTOPILOT_MODE="approve")
    world.put(exited("redis"), exited("frontend"))
    means, now = world.means(), time.time()
    for number in range(approvals.MOST // 2):
        means.approvals.ask(approvals.Request(f"{number:064d}", "x", {}, "high", (), now), now)
    added = Proposal("request-deploy", {"target": "rpi3", "commit": COMMIT}, ("git/main",), "llm")
    report = cycle(world, propose=wants(added), budget=lambda: Budget(1000, 1.0))
    assert [known.action for known in means.approvals.requests(now)][-2:] == ["request-restart"] * 2
    assert len(means.approvals.requests(now)) == approvals.MOST // 2 + 2
    [problem] = report.problems
    assert problem.startswith("request-deploy target/rpi3: ")
    assert "plans wait already" in problem


def test_what_a_person_approved_is_done_once(world: World) -> None:
    world.set(AUTOPILOT_MODE="approve")
    world.put(exited("redis"))
    cycle(world)
    means = world.means()
    [request] = means.approvals.requests(time.time())
    assert (request.action, request.parameters) == ("request-restart", {"service": "redis"})
    means.approvals.approve(request.id, "manager", time.time())
    world.write(heals=["redis"])
    report = cycle(world)
    assert told(report.decisions) == [("request-restart", "service/redis", "done")]
    assert report.decisions[0].reasons[:2] == ("approval", "manager approved it")
    world.put(exited("redis"))
    cycle(world)
    assert world.effects() == [["request-restart", "redis"]]


def test_a_pause_holds_and_its_end_too(world: World) -> None:
    world.put(exited("redis"))
    pause.pause(world.means().pause, "manager")
    report = cycle(world)
    assert [decision.reasons[0] for decision in report.decisions] == ["pause"]
    assert world.effects() == []
    pause.resume(world.means().pause)
    world.write(heals=["redis"])
    assert told(cycle(world).decisions)[0][2] == "done"


@pytest.mark.parametrize(
    "text",
    ["AUTOPILOT_MODE=obsreve\n", slow("AUTOPILOT_MODE='observe\n"), slow("AUTOPILOT_ENABLED=flase\n"), None],
)
def test_settings_that_say_nothing_let_nothing_be_done(world: World, text: str | None) -> None:
    """The default of a mode that was mistyped is to act."""
    world.put(exited("redis"))
    path = world.folder / ".env"
    path.mkdir() if text is None else path.write_text(text)
    report = cycle(world)
    [decision] = report.decisions
    assert (decision.verdict, decision.reasons[0], world.effects()) == ("refused", "pause", [])
    assert f"until {path} is put right" in decision.reasons[1]
    path.rmdir() if text is None else path.write_text("AUTOPILOT_MODE=act\n")
    world.write(heals=["redis"])
    assert told(cycle(world).decisions) == [("request-restart", "service/redis", "done")]


def test_a_dry_run_decides_and_leaves_no_trace(world: World) -> None:
    world.put(exited("redis"))
    report = cycle(world, dry=True)
    assert told(report.decisions) == [("request-restart", "service/redis", "done")]
    assert world.effects() == []
    assert sorted(path.name for path in world.state.iterdir()) == ["cycle.lock"]
    assert not Path(world.means().audit.path).exists()


@pytest.mark.parametrize(
    "silent",
    ["ssh-monitor", *(pytest.param(silent, marks=pytest.mark.slow) for silent in ("ssh-manager", "git"))],
)
def test_a_part_that_does_not_answer_is_told_and_nothing_is_changed_on_what_is_not_known(
    world: World, silent: str
) -> None:
    world.put(cut_off("frontend"))
    world.write(silent=[silent])
    report = cycle(world)
    assert len(report.problems) == 1
    assert "cannot be reached" in report.problems[0]
    made = [effect[0] for effect in world.effects()]
    expected = {"ssh-monitor": [], "ssh-manager": ["request-alert"]}
    assert made == expected.get(silent, ["ticket-create", "request-alert"])


@pytest.mark.parametrize(
    "answer",
    [
        {"services": [{"service": "redis"}]},
        pytest.param({"services": {"redis": 7}}, marks=pytest.mark.slow),
        pytest.param({"services": [7] * 100}, marks=pytest.mark.slow),
    ],
)
def test_an_answer_of_another_form_is_as_none(world: World, answer: dict[str, Any]) -> None:
    world.write(**answer) if isinstance(answer["services"], dict) else world.write(
        services=dict(enumerate(answer["services"]))
    )
    report = cycle(world)
    assert (
        [problem for problem in report.problems if problem.startswith("monitor: ")] == report.problems != []
    )
    assert world.effects() == []


# A planner beside the rules ------------------------------------------------------------------------------------------


def wants(*proposals: Proposal) -> Callable[[Snapshot, Past], Proposed]:
    return lambda _snapshot, _past: Proposed(proposals, (), 0.25)


@pytest.mark.slow
def test_where_the_model_fails_the_rules_decide_in_the_same_cycle(world: World) -> None:
    def fails(_snapshot: Snapshot, _past: Past) -> Proposed:
        raise LLMUnavailableError("nobody answers")

    world.put(exited("redis"))
    world.write(heals=["redis"])
    report = cycle(world, propose=fails)
    assert report.problems == ["the model: nobody answers"]
    assert told(report.decisions) == [("request-restart", "service/redis", "done")]


def test_what_a_model_adds_is_judged_and_kept_apart(world: World) -> None:
    world.put(exited("redis"))
    world.write(heals=["redis"])
    known = Proposal("request-restart", {"service": "redis"}, ("container/redis",), "llm")
    healthy = Proposal("request-restart", {"service": "backend"}, ("container/backend",), "llm")
    unknown = Proposal("rm", {"path": "/"}, (), "llm")
    tells = Proposal("alert", {"service": "redis", "reason": "disk-full"}, ("container/redis",), "llm")
    report = cycle(world, propose=wants(known, healthy, unknown, tells), budget=lambda: Budget(1000, 1.0))
    found = [(each.planner, each.action, each.verdict, each.reasons[0]) for each in report.decisions]
    assert found == [
        ("rules", "request-restart", "done", "mode"),
        ("llm", "request-restart", "refused", "precondition"),
        ("llm", "rm", "refused", "schema"),
        ("llm", "alert", "done", "mode"),
    ]
    assert world.effects() == [
        ["request-restart", "redis"],
        ["request-alert", "redis", "disk-full", *world.effects()[1][3:]],
    ]


def test_what_was_begun_is_proved_though_the_next_cannot_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(exited("redis"))
    world.write(heals=["redis"])
    begin = Ledger.begin

    def full(ledger: Ledger, decision: Decision) -> None:
        if decision.planner == "llm":
            raise LedgerError("No space is left.")
        begin(ledger, decision)

    monkeypatch.setattr(Ledger, "begin", full)
    tells = Proposal("alert", {"service": "redis", "reason": "disk-full"}, ("container/redis",), "llm")
    with pytest.raises(LedgerError, match="No space"):
        cycle(world, propose=wants(tells), budget=lambda: Budget(1000, 1.0))
    assert told(world.means().ledger.decisions()) == [("request-restart", "service/redis", "done")]
    assert world.means().ledger.open() == []


def test_an_alert_that_was_refused_or_cut_off_is_tried_again_soon(world: World) -> None:
    world.put(cut_off("frontend"))
    world.write(refuses=["request-alert"])
    first = cycle(world, clock=lambda: time.time() - 301)
    assert ("alert", "service/frontend", "failed") in told(first.decisions)
    world.write(refuses=[])
    [ticket, alert] = world.means().ledger.decisions()
    assert (ticket.verdict, alert.verdict) == ("done", "failed")
    assert told(cycle(world).decisions) == []  # by the clock of the ledger it was just now
    later = cycle(world, clock=lambda: time.time() + 301)
    assert told(later.decisions) == [("alert", "service/frontend", "done")]


@pytest.mark.parametrize("jump", [slow(-(10**6)), 10**6])
def test_what_was_seen_grows_old_by_no_clock_that_jumps(
    world: World, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    looks: list[int] = []
    look = Gatherer.look

    def counted(self: Gatherer, number: int) -> Seen:
        looks.append(number)
        return look(self, number)

    monkeypatch.setattr(Gatherer, "look", counted)
    jumped = [0.0]

    def model(_snapshot: Snapshot, _past: Past) -> Proposed:
        jumped[0] = jump
        return Proposed()

    world.put(cut_off("frontend"))
    report = cycle(world, propose=model, clock=lambda: time.time() + jumped[0])
    assert told(report.decisions)[:1] == [("ticket-create", "service/frontend", "done")]
    assert len(looks) == 1
    monkeypatch.setattr(cycles, "OLD", -1.0)
    world.put(cut_off("git"))
    cycle(world)
    assert len(looks) > 2


# What goes wrong on the way ------------------------------------------------------------------------------------------


def test_a_deploy_that_made_it_worse_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy: dict[str, Any] = {
        "id": "d1",
        "target": "backend",
        "services": ["backend", "mobile-backend"],
        "commit": COMMIT,
    }
    deploy |= {"result": "deployed", "started": time.time(), "seconds": 1.0}
    world.write(
        then={
            "request-deploy": {"services": {"backend": unhealthy("backend", 0)}, "deploys": [deploy]},
            "request-rollback": {
                "services": {"backend": service("backend", 0)},
                "deploys": [deploy | {"result": "rolled-back"}],
            },
        }
    )
    wanted = Proposal("request-deploy", {"target": "backend", "commit": COMMIT}, ("git/main",), "llm")
    options: dict[str, Any] = {"propose": wants(wanted), "budget": lambda: Budget(1000, 1.0)}
    assert told(cycle(world, **options).decisions) == [("request-deploy", "target/backend", "waiting")]
    means = world.means()
    object.__setattr__(means.actions.actions["request-deploy"], "within", 2)
    [request] = means.approvals.requests(time.time())
    means.approvals.approve(request.id, "manager", time.time())
    report = Pilot(means, **options).cycle("test")
    assert told(report.decisions) == [
        ("request-deploy", "target/backend", "undone"),
        ("request-rollback", "target/backend", "done"),
    ]
    assert report.decisions[0].undone == report.decisions[1].id
    assert [effect[0] for effect in world.effects()] == ["request-deploy", "request-rollback"]


def test_only_one_cycle_is_under_way(world: World) -> None:
    with world.means().lock.hold("somebody", "a cycle"):
        done = subprocess.run(pilot_child.command(world.folder), capture_output=True, text=True, check=False)
    assert "LockBusyError" in done.stderr
    assert "somebody" in done.stderr
    assert world.effects() == []


# Killed at each step -------------------------------------------------------------------------------------------------


def killed(world: World, step: int) -> bool:
    """A cycle that dies at a step, and one that finds what it left; returns whether there was such a step."""
    world.write(heals=["redis"])
    world.put(exited("redis"))
    done = subprocess.run(
        pilot_child.command(world.folder, step), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    before = {known.id for known in world.means().ledger.decisions()}
    again = cycle(world)
    ledger = world.means().ledger
    assert ledger.open() == []
    decisions = ledger.decisions()
    assert before <= {known.id for known in decisions}
    asked = [effect[:2] for effect in world.effects() if effect[0] == "request-restart"]
    # Nothing is asked for that is not in the book, nothing twice, and after all of it the service runs or was tried once.
    assert len(asked) <= 1
    assert len(asked) <= sum(known.action == "request-restart" for known in decisions)
    made = [effect for effect in world.effects() if effect[0] == "ticket-create"]
    assert len(made) <= 1
    assert all(sum(known.id == each.id for known in decisions) == 1 for each in again.settled)
    assert chain.verify(world.state / "ledger.jsonl").problems == ()
    assert chain.verify(world.means().audit.path).problems == ()
    assert playbook._marked(str(world.folder)) == []
    return done.returncode != 0


# What is begun is in the book and not asked for; it is asked for and not noted; its end is in the book and not in the audit.
ORDINARY = (10, 12, 16)


@pytest.mark.parametrize("step", ORDINARY)
def test_a_cycle_that_is_killed_is_put_in_order_by_the_next(world: World, step: int) -> None:
    assert killed(world, step)


@pytest.mark.slow
@pytest.mark.parametrize("step", range(1, 70))
def test_a_cycle_that_is_killed_anywhere_is_put_in_order_by_the_next(world: World, step: int) -> None:
    # More of a cycle than what the ordinary ones have: what nobody repairs becomes a ticket.
    world.put(cut_off("frontend"))
    killed(world, step)


@pytest.mark.slow
def test_two_hundred_idle_cycles_change_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Memory, open files and files on the disk are flat; nothing is changed, or the bench ends there."""
    bench = [sys.executable, str(ROOT / "tests/bench/autopilot.py"), "--cycles", "200"]
    done = subprocess.run(bench, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["cycles"] == 200, done.stderr
    assert found["grown"]["open_files"] <= 0
    assert found["grown"]["files"] <= 0
    assert found["grown"]["memory_kib"] <= 4096
