# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands that show and steer the autopilot, and who may say yes to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.autopilot.approvals import Approvals, Request
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import Decision, Ledger
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import means
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import journal, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit import piloting
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

POLICY = piloting.policy_of(COLLECTIONS.parent)
DECISION = Decision(
    id="00000003-aaaaaaaaaaaa",
    cycle=3,
    planner="rules",
    action="request-restart",
    parameters={"service": "redis"},
    subject="service/redis",
    risk="medium",
    verdict="done",
    reasons=("mode", "AUTOPILOT_MODE is act", ""),
    evidence=("container/redis: exited, exit code 137",),
    digest="a" * 64,
)
REQUEST = Request("b" * 64, "request-deploy", {"target": "backend"}, "high", ("main is new",), 0.0)
FIELDS = (
    "id cycle time planner action parameters risk verdict reasons evidence before after result undone cost"
)


class Here:
    """The autopilot's container, in a directory."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.ledger = Ledger(means.ledger_path(self.state))
        self.approvals = Approvals(means.approvals_path(self.state))

    def __call__(self, line: str, caller: str = "autopilot", policy: Policy = POLICY) -> Outcome:
        place = Place("autopilot", "ssh-autopilot", policy, {})
        return runner.run(
            place, caller, line.split(), open(os.devnull, "rb"), Style(), audited=caller != "autopilot"
        )

    def data(self, line: str, caller: str = "autopilot") -> Any:
        done = self(f"{line} --json", caller)
        assert done.status == 0, done.message
        return json.loads(done.text)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    found = Here(tmp_path)
    (tmp_path / "autopilot").mkdir()
    monkeypatch.setattr(means, "STATE", found.state)
    monkeypatch.setattr(settings_file, "HOMES", tmp_path)
    monkeypatch.setattr(journal.files, "DIRECTORY", str(tmp_path))
    return found


def test_the_status_of_one_that_has_done_nothing(here: Here) -> None:
    found = here.data("pilot-status")
    assert (found["mode"], found["enabled"], found["paused"], found["waiting"]) == ("act", True, "", [])
    assert found["daemon"] is None
    assert "says nothing" in here("pilot-status").text


def test_the_status_tells_what_waits_and_what_was_decided(here: Here) -> None:
    here.ledger.begin(DECISION)
    here.approvals.ask(REQUEST, time.time())
    for caller in ("autopilot", "manager"):
        found = here.data("pilot-status", caller)
        assert [each["id"] for each in found["waiting"]] == [REQUEST.id]
        [decision] = found["decisions"]
        assert (decision["verdict"], decision["result"]) == ("failed", "begun, and not known to have ended")
    text = here("pilot-status").text
    assert "request-deploy" in text
    assert "request-restart" in text


def test_the_log_has_one_object_for_each_decision_with_all_its_fields(here: Here) -> None:
    assert here.data("pilot-log") == []
    here.ledger.begin(DECISION)
    here.ledger.end(DECISION.id, "done")
    for number in range(30):
        here.ledger.note(Decision(**{**DECISION.__dict__, "id": f"x{number}", "verdict": "refused"}))
    found = here.data("pilot-log", "manager")
    assert len(found) == 20
    assert all(list(each) == FIELDS.split() for each in found)
    assert len(here.data("pilot-log -n 100")) == 31
    assert here.data("pilot-log -n 0") == []
    for wrong in ("-1", "x", "10001"):
        assert here(f"pilot-log -n {wrong}").status == 2


def test_a_pause_is_for_a_time_or_until_somebody_resumes(here: Here) -> None:
    assert here("pilot-pause --for 90m").status == 0
    assert "the autopilot paused it until" in here.data("pilot-status")["paused"]
    assert here("pilot-pause --reason moving").status == 0
    assert (
        here.data("pilot-status")["paused"] == "the autopilot (moving) paused it; pilot-resume lets it go on"
    )
    assert here("pilot-resume").status == 0
    assert here.data("pilot-status")["paused"] == ""
    for wrong in ("1", "0m", "31d", "1w", "-1h", "1h1m"):
        assert here(f"pilot-pause --for={wrong}").status == 2
    assert here.data("pilot-status")["paused"] == ""


def test_the_manager_says_yes_and_no(here: Here) -> None:
    assert here("approvals", "manager").text == "Nothing waits for a yes."
    here.approvals.ask(REQUEST, time.time())
    [waiting] = here.data("approvals", "manager")["requests"]
    assert waiting["parameters"] == {"target": "backend"}
    assert here.data(f"approve {REQUEST.id}", "manager")["by"] == "the manager"
    assert REQUEST.digest in here.approvals.approved(time.time())
    assert here.data(f"reject {REQUEST.id}", "manager")["id"] == REQUEST.id
    assert here.approvals.requests(time.time()) == []
    done = here(f"approve {REQUEST.id}", "manager")
    assert (done.status, "waits for a person" in done.message) == (2, True)


@pytest.mark.parametrize("line", ["approvals", f"approve {REQUEST.id}", f"reject {REQUEST.id}"])
@pytest.mark.parametrize("caller", ["autopilot", "developer", "monitor"])
def test_nobody_else_says_yes_nor_no(here: Here, line: str, caller: str) -> None:
    here.approvals.ask(REQUEST, time.time())
    assert here(line, caller).status == 77
    assert here.approvals.approved(time.time()) == {}
    assert len(here.approvals.requests(time.time())) == 1


@pytest.mark.parametrize("line", ["pilot-run", "pilot-pause", "pilot-resume", "pilot-run --dry-run"])
@pytest.mark.parametrize("caller", ["manager", "developer", "monitor"])
def test_only_the_autopilot_orchestrates(here: Here, line: str, caller: str) -> None:
    assert here(line, caller).status == 77


@pytest.mark.parametrize("line", ["pilot-status", "pilot-log"])
@pytest.mark.parametrize("caller", ["developer", "monitor"])
def test_the_others_read_nothing(here: Here, line: str, caller: str) -> None:
    assert here(line, caller).status == 77


FOLLOWING = """
    import sys
    sys.path.insert(0, {collections!r})
    from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import means
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import runner, signals
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
    from ansible_collections.dockfra.core.tests.unit import piloting
    from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS
    from pathlib import Path
    signals.install()
    means.STATE = Path({state!r})
    place = Place("autopilot", "ssh-autopilot", piloting.policy_of(COLLECTIONS.parent), {{}})
    runner.show(runner.run(place, "autopilot", ["pilot-log", "-f", "-n", "1", "--json"], sys.stdin.buffer, Style()))
"""


def test_whoever_follows_sees_each_new_decision_and_how_it_ends(here: Here) -> None:
    here.ledger.note(Decision(**{**DECISION.__dict__, "id": "x", "verdict": "refused"}))
    program = textwrap.dedent(FOLLOWING.format(collections=str(COLLECTIONS), state=str(here.state)))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["id"] == "x"
            here.ledger.begin(DECISION)
            assert json.loads(process.stdout.readline())["verdict"] == "failed"
            here.ledger.end(DECISION.id, "done", "it works")
            ended = json.loads(process.stdout.readline())
            assert (ended["id"], ended["verdict"], ended["result"]) == (DECISION.id, "done", "it works")
            assert set(FIELDS.split()) <= set(ended)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 128 + signal.SIGTERM
        finally:
            process.kill()
