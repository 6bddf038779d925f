# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``request-alert``, ``request-cleanup`` and ``request-deploy`` at the monitor: what the autopilot may ask for, and what it may not."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.errors import UsageError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.watch import requests
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import health, judgement, runner, watched
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.gate import Gate
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import (
    request_alert,
    request_deploy,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import configuration as deployed
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.pipeline import Request

POLICY = Policy(
    {},
    {
        name: {"on_path": False, "at": {"monitor": ["autopilot"]}}
        for name in ("request-alert", "request-cleanup", "request-deploy")
    },
)
PLACE = Place("monitor", "ssh-monitor", POLICY, {"monitor": "ssh-monitor", "autopilot": "ssh-autopilot"})
BACKEND = {
    "service": "backend",
    "target": "backend",
    "path": "backend",
    "bastion": "ssh-backend",
    "host": "",
    "port": 0,
    "health": "",
    "tree": "",
}
# Stands for the bastion behind ssh.
BASTION = """#!/bin/sh
echo "$@" >>{calls}
case "$*" in
*release-prune*) [ -e {broken} ] && {{ echo "the disk is broken" >&2; exit 1; }}; echo '{pruned}' ;;
*) echo '[{status}]' ;;
esac
"""
STATUS: dict[str, Any] = {
    "service": "backend",
    "current": "",
    "running": "",
    "previous": "",
    "releases": [],
    "crashed": [],
    "holder": None,
}


class Monitor:
    """The monitor's container, with a stand-in for a bastion."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.audit = root / "ssh-monitor.jsonl"
        self.calls, self.broken = root / "calls", root / "broken"
        self.bastion(STATUS)
        targets = {"services": ["backend", "git"], "targets": [], "pages": {}, "routes": []}
        targets |= {"hostname": "x", "authority": "", "audit_logs": []}
        (root / "targets.json").write_text(json.dumps(targets))
        (root / "deploys.json").write_text(
            json.dumps({"origin": "g", "playbooks": "", "services": [BACKEND]})
        )
        monkeypatch.setattr(health, "CONFIGURATION", root / "targets.json")
        monkeypatch.setattr(deployed, "CONFIGURATION", root / "deploys.json")
        monkeypatch.setattr(watched, "ASKED", root / "asked")
        monkeypatch.setattr(watched, "RUN", root)
        monkeypatch.setattr(request_alert, "COUNTED", root / "counts" / "alerts.json")
        monkeypatch.setenv("PATH", f"{root}:{os.environ['PATH']}")

    def bastion(self, status: dict[str, Any]) -> None:
        pruned = json.dumps({"service": "backend", "removed": ["old"], "kept": ["a", "b"]})
        program = self.root / "ssh"
        program.write_text(
            BASTION.format(calls=self.calls, broken=self.broken, pruned=pruned, status=json.dumps(status))
        )
        program.chmod(0o755)

    def asked(self, line: str, caller: str = "autopilot") -> runner.Outcome:
        return Gate(PLACE, caller, AuditLog(str(self.audit))).answer(line, io.BytesIO(), Style())

    def waiting(self) -> list[tuple[str, str, str]]:
        return [(alert.id, alert.service, alert.detail) for alert in requests.waiting(self.root / "asked")]


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    return Monitor(tmp_path, monkeypatch)


def test_an_alert_waits_for_the_watch_in_words_of_the_platforms_own(monitor: Monitor) -> None:
    outcome = monitor.asked("request-alert backend no-repair-helps --id=00000007-aaaaaaaaaaaa")
    assert (outcome.status, outcome.message) == (0, "")
    assert monitor.asked("request-alert backend no-repair-helps --id=00000007-aaaaaaaaaaaa").status == 0
    says = f"the autopilot says: {request_alert.REASONS['no-repair-helps']}"
    assert monitor.waiting() == [("00000007-aaaaaaaaaaaa", "backend", says)]
    assert json.loads(monitor.audit.read_text().splitlines()[0])["verdict"] == "allowed"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("request-alert nobody disk-full", 2),
        ("request-alert backend 'come quickly'", 2),
        ("request-alert backend", 2),
        ("request-alert backend disk-full --id=../x", 2),
        ("request-cleanup nobody", 2),
        ("request-cleanup git", 2),
        ("request-cleanup ../backend", 2),
    ],
)
def test_what_cannot_be_meant_is_refused(monitor: Monitor, line: str, status: int) -> None:
    assert monitor.asked(line).status == status
    assert monitor.waiting() == []
    assert not monitor.calls.exists()


@pytest.mark.parametrize("line", ["request-alert backend disk-full", "request-cleanup backend"])
@pytest.mark.parametrize("caller", ["manager", "developer"])
def test_only_the_autopilot_asks(monitor: Monitor, caller: str, line: str) -> None:
    assert monitor.asked(line, caller).status == 77
    assert monitor.waiting() == []
    assert not monitor.calls.exists()


def test_nobody_cries_wolf(monitor: Monitor) -> None:
    for _number in range(request_alert.MOST):
        assert monitor.asked("request-alert backend disk-full").status == 0
    refused = monitor.asked("request-alert backend disk-full")
    assert refused.status == 75
    assert "the next may be at" in refused.message
    assert len(monitor.waiting()) == request_alert.MOST
    assert monitor.asked("request-alert git disk-full").status == 0


def test_the_bastion_is_asked_to_remove_old_releases(monitor: Monitor) -> None:
    outcome = monitor.asked("request-cleanup backend --json")
    assert json.loads(outcome.text) == {"service": "backend", "removed": ["old"], "kept": ["a", "b"]}
    assert "ssh-backend release-prune --json backend" in monitor.calls.read_text()
    # The watch asks again how full it is.
    (monitor.root / watched.CLEANED).unlink()
    monitor.broken.touch()
    failed = monitor.asked("request-cleanup backend")
    assert (failed.status, "the disk is broken" in failed.message) == (1, True)
    assert not (monitor.root / watched.CLEANED).exists()


def test_nothing_is_removed_while_a_deploy_is_under_way(monitor: Monitor) -> None:
    monitor.bastion({**STATUS, "holder": {"line": "monitor, deploy of backend"}})
    outcome = monitor.asked("request-cleanup backend")
    assert outcome.status == 75
    assert "deploy of backend" in outcome.message
    assert "release-prune" not in monitor.calls.read_text()


def test_a_deploy_is_judged_and_counted(
    monitor: Monitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    class Deploys:
        """As the pipeline does what it is asked for."""

        def __init__(self, *_words: object, **_options: object) -> None: ...

        def check_target(self, target: str) -> None:
            if target != "backend":
                raise UsageError(f"there is no target {target}")

        def deploy(self, request: Request) -> dict[str, Any]:
            asked.append(request)
            return {"result": "unchanged", "target": request.target, "commit": ""}

    monkeypatch.setattr(request_deploy, "Pipeline", Deploys)
    monkeypatch.setattr(request_deploy.telling, "told", lambda _call: contextlib.nullcontext())
    monkeypatch.setattr(judgement, "DEPLOYS_COUNTED", tmp_path / "counts" / "deploys.json")
    assert monitor.asked("request-deploy nothing").status == 2
    for _number in range(judgement.MOST_DEPLOYS):
        assert monitor.asked("request-deploy backend").status == 0
    assert set(asked) == {Request("backend", "", "autopilot", avoid=True, judged=True)}
    outcome = monitor.asked("request-deploy backend")
    assert (outcome.status, "deploys are limited" in outcome.message) == (75, True)
    assert len(asked) == judgement.MOST_DEPLOYS
