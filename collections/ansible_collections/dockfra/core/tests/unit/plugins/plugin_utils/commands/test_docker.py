# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``docker`` and ``request-restart`` at the monitor: what reaches Docker's own client, what is refused, what is kept."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import files
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import engines, grammar, judgement, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.gate import Gate
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import configuration as deployed
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import under_way

POLICY = Policy(
    {"docker-socket": {"title": "Docker socket access", "roles": ["monitor"]}},
    {
        "docker": {"capability": "docker-socket", "at": {"monitor": ["monitor"]}},
        "request-restart": {"on_path": False, "at": {"monitor": ["autopilot"]}},
    },
)
PLACE = Place("monitor", "ssh-monitor", POLICY, {"monitor": "ssh-monitor", "autopilot": "ssh-autopilot"})
ENGINES = [
    {
        "docker_host": "localhost",
        "gateway": "docker-gateway",
        "host": "docker-gateway",
        "port": 2375,
        "containers": {name: f"p-{name}" for name in ("backend", "redis", "ssh-monitor", "docker-gateway")},
    },
    {
        "docker_host": "app",
        "gateway": "docker-gateway-app",
        "host": "10.0.0.9",
        "port": 4375,
        "containers": {"frontend": "p-frontend"},
    },
]

# Stands for Docker's own client: keeps what it was called with, and ends as its words say.
CLIENT = """#!{python} -I
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
if "refused" in sys.argv:
    print("Error response from daemon: it is no container of the platform p\\nmore", file=sys.stderr)
    sys.exit(1)
if sys.argv[1:2] == ["logs"]:
    print("a\\x1b[2Jb")
"""


class Monitor:
    """The monitor's container, with a stand-in for Docker's own client.

    Attributes:
        audit: its audit log.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls = root / "calls"
        program = root / "docker"
        program.write_text(CLIENT.format(python=sys.executable, calls=str(self._calls)))
        program.chmod(0o755)
        configuration = root / "docker.json"
        configuration.write_text(json.dumps(ENGINES))
        self.audit = root / "ssh-monitor.jsonl"
        monkeypatch.setattr(engines, "PROGRAM", str(program))
        monkeypatch.setattr(engines, "CONFIGURATION", configuration)
        deploys = root / "deploys.json"
        deploys.write_text(json.dumps({"origin": "git:app.git", "playbooks": "", "services": []}))
        monkeypatch.setattr(deployed, "CONFIGURATION", deploys)
        monkeypatch.setattr(judgement, "COUNTED", root / "restarts.json")
        monkeypatch.setattr(files, "DIRECTORY", str(root))
        monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:1")
        monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
        monkeypatch.setenv("HTTP_PROXY", "http://elsewhere:1")

    def docker(self, *words: str) -> runner.Outcome:
        return runner.run(PLACE, "monitor", ["docker", *words], io.BytesIO(), Style())

    def asked(self, line: str, caller: str = "autopilot") -> runner.Outcome:
        return Gate(PLACE, caller, AuditLog(str(self.audit))).answer(line, io.BytesIO(), Style())

    def calls(self) -> list[list[Any]]:
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text().splitlines()]

    def entries(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self.audit.read_text().splitlines()] if self.audit.exists() else []
        )


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    return Monitor(tmp_path, monkeypatch)


# docker --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["logs", "-f", "--tail", "3", "p-backend"],
        ["inspect", "p-backend", "--json"],
        ["top", "p-backend", "-eo", "pid,args"],
        ["ps", "--help"],
    ],
)
def test_what_reads_reaches_the_client_as_typed_and_is_not_audited(
    monitor: Monitor, words: Sequence[str], capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = monitor.docker(*words)
    assert (outcome.status, outcome.text, outcome.message) == (0, "", "")
    [[given, environment]] = monitor.calls()
    assert given == list(words)
    assert environment["DOCKER_HOST"] == "tcp://docker-gateway:2375"
    assert not {"DOCKER_CONTEXT", "HTTP_PROXY", "http_proxy"} & set(environment)
    assert monitor.entries() == []


@pytest.mark.parametrize("words", [["ps"], ["ps", "--all", "--format", "{{.Names}}"]])
def test_a_list_is_that_of_every_docker_host(monitor: Monitor, words: Sequence[str]) -> None:
    assert monitor.docker(*words).status == 0
    assert [(given, environment["DOCKER_HOST"]) for given, environment in monitor.calls()] == [
        (words, "tcp://docker-gateway:2375"),
        (words, "tcp://10.0.0.9:4375"),
    ]
    assert monitor.entries() == []


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_what_changes_something_is_audited(monitor: Monitor, verb: str) -> None:
    assert monitor.docker(verb, "p-backend").status == 0
    [entry] = monitor.entries()
    assert (entry["caller"], entry["verb"], entry["arguments"]) == ("monitor", "docker", [verb, "p-backend"])
    assert (entry["verdict"], entry["result"]) == ("allowed", 0)


@pytest.mark.parametrize("verb", ["run", "exec", "rm", "cp", "info", "container", "x\x1b[2Jy"])
def test_what_is_for_nobody_is_one_clear_line_and_audited(monitor: Monitor, verb: str) -> None:
    outcome = monitor.docker(verb, "p-backend")
    assert outcome.status == 77
    assert outcome.message.startswith("denied: docker '")
    assert outcome.message.isprintable()
    assert outcome.message.endswith("events, version, start, stop, restart")
    assert monitor.calls() == []
    assert [entry["verdict"] for entry in monitor.entries()] == ["denied"]


@pytest.mark.parametrize("words", [[], ["-H", "tcp://x:1", "ps"], ["--context", "x", "ps"]])
def test_no_other_engine_can_be_named(monitor: Monitor, words: Sequence[str]) -> None:
    outcome = monitor.docker(*words)
    assert outcome.status == 2
    assert monitor.calls() == []


def test_the_clients_refusal_and_exit_status_are_passed_on(
    monitor: Monitor, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = monitor.docker("stop", "refused")
    assert (outcome.status, outcome.message) == (1, "")
    assert "it is no container of the platform p" in capfd.readouterr().err
    assert [entry["result"] for entry in monitor.entries()] == [1]


def test_a_container_of_another_docker_host_is_asked_about_there(monitor: Monitor) -> None:
    monitor.docker("logs", "p-frontend")
    assert monitor.calls()[0][1]["DOCKER_HOST"] == "tcp://10.0.0.9:4375"


def test_help_is_the_commands_own_and_nothing_is_asked(monitor: Monitor) -> None:
    outcome = monitor.docker("--help")
    assert outcome.status == 0
    assert "Examples:" in outcome.text
    assert monitor.calls() == []


def test_completion_offers_verbs_and_containers(monitor: Monitor) -> None:
    complete = grammar.find("docker", "monitor", "monitor").completions
    assert complete(PLACE, ["st"]) == ["stats", "start", "stop"]
    assert complete(PLACE, ["logs", "p-b"]) == ["p-backend"]
    assert complete(PLACE, ["logs", "--follow", "p-f"]) == ["p-frontend"]


def test_without_its_configuration_it_says_what_to_do(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for text in (None, "x", "[]", '[{"host": 1}]'):
        path = tmp_path / "other.json"
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(engines, "CONFIGURATION", path)
        outcome = monitor.docker("ps")
        assert (outcome.status, outcome.message.startswith("docker: ")) == (1, True)
        assert grammar.find("docker", "monitor", "monitor").completions(PLACE, ["logs", "p-"]) == []


# request-restart -----------------------------------------------------------------------------------------------------


def test_the_autopilot_may_ask_for_three_restarts_of_a_service_an_hour(monitor: Monitor) -> None:
    for number in (1, 2, 3):
        outcome = monitor.asked("request-restart backend --json")
        assert outcome.status == 0, outcome.message
        assert json.loads(outcome.text)["restarts"] == number
    refused = monitor.asked("request-restart backend")
    assert refused.status == 75
    assert "restarts are limited: backend had 3 within 60 minutes" in refused.message
    assert "the next may be at " in refused.message
    assert [words for words, _environment in monitor.calls()] == [["restart", "p-backend"]] * 3
    assert monitor.asked("request-restart redis").text.startswith("redis was restarted; that is number 1")
    assert [entry["verdict"] for entry in monitor.entries()] == ["allowed"] * 3 + ["busy", "allowed"]


@pytest.mark.parametrize(
    ("service", "status", "why"),
    [
        ("ssh-monitor", 77, "would end with the call"),
        ("docker-gateway", 77, "the way by which others are restarted"),
        ("nothing", 2, "there is no container of a service 'nothing'; there are backend, "),
        ("p-backend", 2, "there is no container of a service"),
        ("../backend", 2, "there is no container of a service"),
        ("--help=x", 2, "try request-restart --help"),
    ],
)
def test_what_is_not_restarted_says_why_and_costs_nothing(
    monitor: Monitor, service: str, status: int, why: str
) -> None:
    outcome = monitor.asked(f"request-restart {service}")
    assert outcome.status == status, outcome.message
    assert why in outcome.message
    assert monitor.calls() == []
    assert not judgement.COUNTED.exists()


def test_what_stands_in_the_way_is_asked_each_time(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    deploys = ["a deploy of backend is under way since 12:00"]
    monkeypatch.setattr(under_way, "deploy_of", lambda _service: "".join(deploys))
    outcome = monitor.asked("request-restart backend")
    assert (outcome.status, "not restarted now: a deploy of backend" in outcome.message) == (75, True)
    assert monitor.calls() == []
    deploys.clear()
    assert monitor.asked("request-restart backend").status == 0


def test_a_restart_that_fails_says_so_and_is_counted(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = [{**ENGINES[0], "containers": {"backend": "refused"}}]
    engines.CONFIGURATION.write_text(json.dumps(changed))
    outcome = monitor.asked("request-restart backend")
    assert outcome.status == 1
    assert outcome.message == ("request-restart: docker restart: it is no container of the platform p")
    assert json.loads(judgement.COUNTED.read_text())["backend"]


@pytest.mark.parametrize("caller", ["manager", "developer"])
def test_nobody_else_may_ask(monitor: Monitor, caller: str) -> None:
    for line in ("request-restart backend", "docker ps", "docker restart p-backend"):
        assert monitor.asked(line, caller).status == 77
    assert monitor.asked("docker ps", "autopilot").status == 77
    assert monitor.calls() == []
