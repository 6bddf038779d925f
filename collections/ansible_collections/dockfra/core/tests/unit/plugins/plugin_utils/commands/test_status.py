# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor's and the manager's ``status`` say of services that work, fail, freeze and are out of reach."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import health, runner, tickets
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.fake_services import FakeServices

POLICY = Policy(
    {}, {"status": {"at": {"manager": ["manager"], "monitor": ["monitor", "manager", "autopilot"]}}}
)
SERVICES = {"manager": "ssh-manager", "monitor": "ssh-monitor", "developer": "ssh-developer"}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServices]:
    found = FakeServices(tmp_path)
    monkeypatch.setattr(health, "CONFIGURATION", found.file)
    yield found
    found.close()


def status(place: str, *words: str, caller: str = "", style: Style | None = None) -> runner.Outcome:
    where = Place(place, SERVICES[place], POLICY, SERVICES)
    return runner.run(where, caller or place, ["status", *words], io.BytesIO(), style or Style())


def states(outcome: runner.Outcome) -> dict[str, str]:
    return {found["service"]: found["state"] for found in json.loads(outcome.text)["services"]}


def details(outcome: runner.Outcome, service: str) -> list[str]:
    (found,) = (found for found in json.loads(outcome.text)["services"] if found["service"] == service)
    return [probe["detail"] for probe in found["probes"]]


# The monitor's -------------------------------------------------------------------------------------------------------


def test_all_up(services: FakeServices) -> None:
    services.ssh("ssh-monitor")
    services.http("backend", {"/health": 200})
    services.redis("redis", "secret")
    services.https("traefik", {"/health": 200})
    outcome = status("monitor")
    assert (outcome.status, outcome.message) == (0, "")
    lines = outcome.text.splitlines()
    assert lines[0].split() == ["SERVICE", "STATE", "PORT", "MS", "DETAIL"]
    assert [line.split()[:3] for line in lines[1:-1]] == [
        ["ssh-monitor", "up", "ssh"],
        ["backend", "up", "http"],
        ["redis", "up", "redis"],
        ["traefik", "up", "https"],
    ]
    assert lines[-1] == "4 of 4 services are up"
    assert "\033" not in outcome.text
    assert "secret" not in outcome.text + status("monitor", "--json").text


def test_a_stopped_service_is_down_and_named(services: FakeServices) -> None:
    services.ssh("ssh-monitor")
    services.stopped("redis", "redis")
    outcome = status("monitor")
    assert outcome.status == 1
    assert outcome.text.splitlines()[-1] == "1 of 2 services are up; down: redis"
    assert re.search(r"^redis +down +redis +\d+ +connection refused$", outcome.text, re.MULTILINE)
    assert states(status("monitor", "--json")) == {"ssh-monitor": "up", "redis": "down"}


def test_a_name_that_nobody_has_is_down(services: FakeServices) -> None:
    services.target("db", "postgres", 5432, host="nobody.invalid")
    services.target("page", "https", 443, host="nobody.invalid")
    assert states(status("monitor", "--json")) == {"db": "down", "page": "down"}


@pytest.mark.parametrize("kind", ["ssh", "http", "https", "redis", "postgres"])
def test_a_frozen_service_is_down_and_does_not_hold_up_the_others(services: FakeServices, kind: str) -> None:
    services.frozen("frozen", kind)
    services.ssh("ssh-monitor")
    outcome = status("monitor", "--json")
    assert outcome.status == 1
    assert states(outcome) == {"frozen": "down", "ssh-monitor": "up"}
    assert details(outcome, "frozen") == ["no answer in 1 s"]


@pytest.mark.parametrize(
    ("sent", "pause", "detail"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0, "answers more than 65536 bytes; it was not read on"),
        (b"x" * 65536, 0, "answers more than 65536 bytes; it was not read on"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000, 0, "got more than 100 headers"),
        (b"H", 0.05, "no answer in 1 s"),
    ],
)
def test_finding_s4_an_endless_answer_over_tls_is_down(
    services: FakeServices, sent: bytes, pause: float, detail: str
) -> None:
    def answer(connection: socket.socket) -> None:
        while True:
            connection.sendall(sent)
            time.sleep(pause)

    services.secured("traefik", answer)
    outcome = status("monitor", "--json")
    assert (outcome.status, states(outcome)) == (1, {"traefik": "down"})
    assert detail in details(outcome, "traefik")[0]


def test_a_service_that_says_it_cannot_work_is_degraded(services: FakeServices) -> None:
    services.http("backend", {"/health": '503 {"status": "unavailable", "down": ["cache"]}'})
    services.http("page", {})
    services.https("traefik", {"/health": "502 Bad Gateway"})
    outcome = status("monitor", "--json")
    assert outcome.status == 1
    assert set(states(outcome).values()) == {"degraded"}
    assert details(outcome, "backend") == ["HTTP 503: status unavailable, down ['cache']"]
    assert details(outcome, "page")[0].startswith("HTTP 404")
    assert details(outcome, "traefik")[0].startswith("HTTP 502: Bad Gateway")
    assert "degraded: backend, page, traefik" in status("monitor").text


def test_a_demand_for_a_password_is_a_sign_of_life(services: FakeServices) -> None:
    services.http("dashboard", {"/health": "401 Unauthorized"})
    services.https("traefik", {"/health": "401 Unauthorized"})
    outcome = status("monitor", "--json")
    assert (outcome.status, details(outcome, "dashboard")) == (0, ["HTTP 401, asks for a login"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"hostname": "other.example"}, "not valid for"), ({"authority": "foreign"}, "certificate")],
)
def test_a_foreign_certificate_is_no_sign_of_life(
    services: FakeServices, options: dict[str, str], reason: str
) -> None:
    services.https("traefik", {"/health": 200}, **options)
    outcome = status("monitor", "--json")
    assert (outcome.status, states(outcome)) == (1, {"traefik": "down"})
    assert details(outcome, "traefik")[0].startswith("its certificate is not good")
    assert reason in details(outcome, "traefik")[0].lower()


def test_a_wrong_password_is_told(services: FakeServices) -> None:
    services.redis("redis", "right")
    services.configuration["targets"][0]["password"] = "wrong"
    services.write()
    outcome = status("monitor", "--json")
    assert (outcome.status, details(outcome, "redis")) == (1, ["WRONGPASS invalid"])
    assert '"wrong"' not in outcome.text


def test_the_worst_port_is_the_state_of_the_service(services: FakeServices) -> None:
    services.http("traefik", {"/health": 200})
    services.stopped("traefik", "https")
    outcome = status("monitor", "--json")
    assert (outcome.status, states(outcome)) == (1, {"traefik": "down"})
    assert "0 of 1 services are up; down: traefik" in status("monitor").text


def test_what_is_out_of_reach_is_shown_and_no_failure(services: FakeServices) -> None:
    services.ssh("ssh-monitor")
    services.unreachable("island")
    outcome = status("monitor")
    assert outcome.status == 0
    assert re.search(r"^island +unknown +- +- +not reachable from here$", outcome.text, re.MULTILINE)
    assert outcome.text.splitlines()[-1] == "1 of 2 services are up; not reachable from here: island"
    assert states(status("monitor", "--json"))["island"] == "unknown"


def test_colours_are_for_terminals(services: FakeServices) -> None:
    services.stopped("redis", "redis")
    assert "\033[31mdown" in status("monitor", style=Style(colour=True)).text


def test_other_roles_may_ask_and_the_developer_may_not(services: FakeServices) -> None:
    services.ssh("ssh-monitor")
    assert status("monitor", "--json", caller="autopilot").status == 0
    refused = status("monitor", caller="developer")
    assert (refused.status, refused.text) == (77, "")
    assert refused.message.startswith("denied:")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"services": 5}', '{"targets": [{}]}'])
def test_a_damaged_configuration_is_one_clear_line(services: FakeServices, content: str) -> None:
    services.file.write_text(content)
    outcome = status("monitor")
    assert (outcome.status, outcome.text) == (1, "")
    assert outcome.message.startswith(f"status: {services.file} cannot be read")
    assert outcome.message.endswith("run site.yml again")


def test_help_has_an_example() -> None:
    outcome = status("monitor", "--help")
    assert outcome.status == 0
    assert "Examples:\n  status\n" in outcome.text


# The manager's -------------------------------------------------------------------------------------------------------

UP = {"service": "redis", "state": "up", "probes": []}
DOWN = {"service": "redis", "state": "down", "probes": []}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TicketStore:
    store = TicketStore(tmp_path / "tickets")
    (tmp_path / "tickets").mkdir()
    monkeypatch.setattr(tickets, "store", lambda: store)
    store.create("manager", {"title": "First", "assigned_to": "developer", "priority": "high"})
    store.create("manager", {"title": "Second", "assigned_to": "developer"})
    store.update("developer", "T-0001", {"status": "in_progress"})
    return store


def monitor_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Any, code: int, error: str = ""
) -> None:
    """The way to the monitor is ``ssh``; this one answers without a network, and keeps what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "output").write_text(json.dumps(output) if output is not None else "")
    (folder / "error").write_text(error)
    program = folder / "ssh"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/asked\ncat {folder}/output\ncat {folder}/error >&2\nexit {code}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_manager_sees_tickets_services_and_who_reached_a_limit_finding_s8(
    store: TicketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = {"service": "git", "caller": "developer", "limit": "connections", "verdict": "denied", "times": 3}
    answer = {"services": [UP], "limits": [{**limit, "time": "2026-01-02T03:04:05.678901Z"}]}
    monitor_answers(tmp_path, monkeypatch, answer, 0)
    outcome = status("manager")
    assert ["developer", "denied", "connections", "git", "3", "2026-01-02T03:04:05"] in [
        line.split() for line in outcome.text.splitlines()
    ]
    assert (outcome.status, outcome.message) == (0, "")
    assert outcome.text.splitlines()[0] == "Tickets: 1 open, 1 in_progress, 0 closed"
    assert re.search(r"^T-0001 +developer +high +First$", outcome.text, re.MULTILINE)
    assert "Second" not in outcome.text
    assert outcome.text.endswith("1 of 1 services are up")
    assert (tmp_path / "bin" / "asked").read_text().split()[-3:] == ["ssh-monitor", "status", "--json"]


def test_the_manager_sees_what_is_down(
    store: TicketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor_answers(tmp_path, monkeypatch, {"services": [DOWN]}, 1)
    outcome = status("manager")
    assert outcome.status == 1
    assert outcome.text.endswith("0 of 1 services are up; down: redis")
    assert json.loads(status("manager", "--json").text)["services"] == [DOWN]


@pytest.mark.parametrize(
    ("output", "code", "error", "reason"),
    [
        (None, 255, "ssh: connect to host ssh-monitor port 2222: Connection refused", "Connection refused"),
        (None, 1, "status: /etc/targets.json cannot be read", "cannot be read"),
        (["nonsense"], 0, "", "its answer is not what status says"),
    ],
)
def test_a_monitor_that_cannot_be_asked_is_told_and_the_tickets_are_still_there(
    store: TicketStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: Any,
    code: int,
    error: str,
    reason: str,
) -> None:
    monitor_answers(tmp_path, monkeypatch, output, code, error)
    outcome = status("manager")
    assert outcome.status == 1
    assert outcome.text.startswith("Tickets: 1 open, 1 in_progress, 0 closed")
    assert "Services: unknown; the monitor: " in outcome.text
    assert reason in outcome.text


def test_the_manager_sees_damaged_ticket_files(
    store: TicketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor_answers(tmp_path, monkeypatch, {"services": [UP]}, 0)
    (tmp_path / "tickets" / "T-0002.json").write_text("{")
    outcome = status("manager")
    assert outcome.status == 1
    assert re.search(r"^Damaged: T-0002.json: .+$", outcome.text, re.MULTILINE)
    assert "0 open, 1 in_progress" in outcome.text


def test_no_ports_are_left_behind(services: FakeServices) -> None:
    """Every connection that a probe opened is closed again: a second round meets a service that takes one at a time."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        services.target("one", "tcp", server.getsockname()[1])
        for _round in range(3):
            assert states(status("monitor", "--json")) == {"one": "up"}
            connection, _address = server.accept()
            assert connection.recv(1) == b""
            connection.close()
