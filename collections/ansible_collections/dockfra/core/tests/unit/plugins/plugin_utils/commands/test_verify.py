# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``verify`` finds: services that answer but do not work, foreign SSH servers, and logs that were tampered with."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain, copies
from ansible_collections.dockfra.core.plugins.module_utils.audit.lines import decode
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import health, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.health import Route
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import verify as command
from ansible_collections.dockfra.core.tests.unit.fake_services import FakeServices

PLACE = Place(
    "monitor",
    "ssh-monitor",
    Policy({}, {"verify": {"at": {"monitor": ["monitor"]}}}),
    {"monitor": "ssh-monitor"},
)
KEYS = [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{sign * 43}" for sign in "ABC"]


@dataclass
class Monitor:
    """A monitor's container: what it may ask, the logs it reads, the keys it has pinned."""

    folder: Path
    services: FakeServices

    @property
    def logs(self) -> Path:
        return self.folder / "audit"

    @property
    def heads(self) -> Path:
        return self.folder / "home" / ".local" / "state" / "dockfra" / "audit-heads.json"

    def log(self, service: str, lines: int = 3) -> Path:
        """A service's audit log of some more lines."""
        path = self.logs / f"{service}.jsonl"
        for number in range(lines):
            AuditLog(path).append({"caller": "manager", "number": number})
        self.services.configuration["audit_logs"] = sorted(
            {*self.services.configuration["audit_logs"], service}
        )
        self.services.write()
        return path

    def pin(self, service: str, key: str) -> None:
        with (self.folder / "known_hosts").open("a") as file:
            file.write(f"{service} {key}\n")

    def shows(self, service: str, key: str) -> None:
        """What ssh says of the key on the service's port."""
        pinned = f"{service} {key}" in (self.folder / "known_hosts").read_text().splitlines()
        said = (
            "debug1: Host 'x' is known and matches the ED25519 host key."
            if pinned
            else "Host key verification failed."
        )
        (self.folder / "bin" / str(self.services.port(service))).write_text(f"{said}\n")

    def run(self, *words: str) -> runner.Outcome:
        return runner.run(PLACE, "monitor", ["verify", *words], io.BytesIO(), Style())

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("--json").text)
        return found

    def problems(self) -> list[str]:
        found: list[str] = self.data()["problems"]
        return found


def route(service: str, path: str, *, strip: bool = False) -> dict[str, Any]:
    """A route as the configuration has it."""
    return asdict(Route(service, path, strip, "/health"))


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    found = Monitor(tmp_path, FakeServices(tmp_path))
    for name in ("audit", "bin", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "known_hosts").write_text("")
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f'#!/bin/sh\n[ "$2" = -p ] && cat "{tmp_path}/bin/$3" >&2\nexit 255\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(health, "CONFIGURATION", found.services.file)
    monkeypatch.setattr(command, "LOGS", found.logs)
    monkeypatch.setattr(command, "COPIES", tmp_path / "copies")
    monkeypatch.setattr(command, "KNOWN_HOSTS", tmp_path / "known_hosts")
    monkeypatch.setattr(command, "PAUSE", 0.0)
    yield found
    found.services.close()


def test_all_is_well(monitor: Monitor) -> None:
    monitor.services.ssh("ssh-monitor")
    monitor.services.ssh("ssh-backend")
    monitor.pin("ssh-backend", KEYS[0])
    monitor.shows("ssh-backend", KEYS[0])
    monitor.services.http("backend", {"/health": 200, "/api/info": 200})
    monitor.services.https("traefik", {"/health": 200, "/api/info": 401})
    monitor.services.configuration["pages"] = {"backend": ["/api/info"]}
    monitor.services.configuration["routes"] = [route("backend", "/api")]
    monitor.log("ssh-manager")
    monitor.log("ssh-monitor", 0)
    (monitor.logs / "ssh-monitor.jsonl").touch()
    outcome = monitor.run()
    assert (outcome.status, outcome.message) == (0, ""), outcome.text
    assert outcome.text.splitlines() == [
        "4 of 4 services are up",
        "3 of 3 further checks passed",
        "2 of 2 audit logs are whole, 3 lines",
    ]


# Services ------------------------------------------------------------------------------------------------------------


def test_a_service_that_is_down_is_told_once(monitor: Monitor) -> None:
    monitor.services.stopped("redis", "redis")
    monitor.services.stopped("backend", "http")
    monitor.services.configuration["pages"] = {"backend": ["/api/info"]}
    port = monitor.services.port("redis")
    outcome = monitor.run()
    assert outcome.status == 1
    assert f"redis: redis at 127.0.0.1:{port} is down: connection refused" in outcome.text.splitlines()
    assert sum(line.startswith("backend: ") for line in outcome.text.splitlines()) == 1


def test_a_service_with_good_health_and_a_broken_page_is_told(monitor: Monitor) -> None:
    monitor.services.http("backend", {"/health": 200, "/api/info": "500 Internal Server Error"})
    monitor.services.configuration["pages"] = {"backend": ["/health", "/api/info"]}
    monitor.services.write()
    assert monitor.problems() == ["backend: page /api/info: HTTP 500: Internal Server Error"]


def test_a_route_that_leads_nowhere_is_told(monitor: Monitor) -> None:
    monitor.services.http("backend", {"/health": 200})
    monitor.services.https("traefik", {"/health": 200, "/api/": "502 Bad Gateway"})
    monitor.services.configuration["routes"] = [route("backend", "/api")]
    monitor.services.write()
    (problem,) = monitor.problems()
    assert problem.startswith("backend: /api/ through traefik: HTTP 502: Bad Gateway")


def test_a_route_that_is_missing_is_told(monitor: Monitor) -> None:
    """The proxy, or the service of the route above it, has nothing there."""
    monitor.services.http("backend", {"/health": 200, "/api/info": 200})
    monitor.services.https("traefik", {"/health": 200})
    monitor.services.configuration["pages"] = {"backend": ["/", "/api/info"]}
    monitor.services.configuration["routes"] = [route("backend", "/api"), route("backend", "/b", strip=True)]
    monitor.services.write()
    assert [problem for problem in monitor.problems() if "traefik" in problem] == [
        f"backend: {path} through traefik: HTTP 404: Not Found, TLSv1.3"
        for path in ("/api/info", "/b/health")
    ]


@pytest.mark.parametrize(
    ("path", "strip", "health", "pages", "asked"),
    [
        ("/", False, "/health", ["/"], "/health"),
        ("/", True, "/health", [], "/health"),
        ("/mobile", True, "/ok", ["/config"], "/mobile/ok"),
        ("/api", False, "/health", ["/api2", "/api/info"], "/api/info"),
        ("/api", False, "/api/health", ["/api/info"], "/api/health"),
        ("/hello", False, "/health", [], "/hello/"),
        ("/hello/", False, "/health", [], "/hello/"),
    ],
)
def test_through_the_proxy_a_page_of_the_service_is_asked_for(
    path: str, strip: bool, health: str, pages: list[str], asked: str
) -> None:
    assert Route("web", path, strip, health).reach(pages) == asked


def test_a_service_behind_the_proxy_alone_is_asked_through_it(monitor: Monitor) -> None:
    monitor.services.https("traefik", {"/health": 200, "/hidden/": "503 Service Unavailable"})
    monitor.services.configuration["routes"] = [route("hidden", "/hidden")]
    monitor.services.unreachable("hidden")
    (problem,) = monitor.problems()
    assert problem.startswith("hidden: /hidden/ through traefik: HTTP 503")


def test_a_foreign_ssh_server_is_found(monitor: Monitor) -> None:
    monitor.pin("ssh-frontend", KEYS[0])
    monitor.pin("ssh-backend", KEYS[2])
    for service, key in zip(("ssh-frontend", "ssh-backend", "ssh-rpi3"), KEYS, strict=True):
        monitor.services.ssh(service)
        monitor.shows(service, key)
    assert monitor.problems() == [
        "ssh-backend: host key: it is not the one that is pinned: somebody else answers, or it was changed",
        f"ssh-rpi3: host key: none is pinned in {monitor.folder / 'known_hosts'}; run site.yml again",
    ]


def test_an_ssh_server_that_shows_no_key_is_found(monitor: Monitor) -> None:
    monitor.services.ssh("ssh-backend")
    monitor.pin("ssh-backend", KEYS[0])
    (monitor.folder / "bin" / str(monitor.services.port("ssh-backend"))).write_text("Connection closed\n")
    assert monitor.problems() == ["ssh-backend: host key: ssh says: Connection closed"]


# Audit logs ----------------------------------------------------------------------------------------------------------


def tampered(text: bytes) -> bytes:
    return text.replace(b'"number": 1', b'"number": 7')


def without_line(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join(lines[:1] + lines[2:])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [(tampered, "line 3 does not follow line 2"), (without_line, "line 2 does not follow line 1")],
)
def test_a_changed_and_a_removed_line_are_named_by_file_and_line(
    monitor: Monitor, damage: Callable[[bytes], bytes], problem: str
) -> None:
    monitor.log("ssh-monitor")
    path = monitor.log("ssh-manager")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    outcome = monitor.run()
    assert outcome.status == 1
    assert outcome.text.splitlines()[-1] == f"{path}: {problem}"
    assert "1 of 2 audit logs are whole" in outcome.text
    path.write_bytes(whole)
    assert monitor.run().status == 0


def test_a_truncated_log_is_found_until_it_is_back(monitor: Monitor) -> None:
    path = monitor.log("ssh-manager")
    assert monitor.run().status == 0
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    expected = [f"{path}: it ends at line 2, and had 3 lines when it was last verified"]
    assert monitor.problems() == expected
    # What verify has found once it does not forget by looking again.
    assert monitor.problems() == expected
    path.write_bytes(whole)
    assert monitor.run().status == 0


def test_a_log_written_anew_is_found(monitor: Monitor) -> None:
    path = monitor.log("ssh-manager")
    assert monitor.run().status == 0
    path.unlink()
    monitor.log("ssh-manager", 5)
    assert monitor.problems() == [f"{path}: line 3 was another when the log was last verified"]


def test_a_growing_log_stays_sound(monitor: Monitor) -> None:
    for lines in (0, 1, 4):
        monitor.log("ssh-manager", lines).touch()
        assert monitor.run().status == 0
    assert json.loads(monitor.heads.read_text())["ssh-manager"]["lines"] == 5
    assert stat.S_IMODE(monitor.heads.stat().st_mode) == 0o600
    assert [path.name for path in monitor.heads.parent.iterdir()] == ["audit-heads.json"]


def test_a_missing_log_is_a_failure(monitor: Monitor) -> None:
    path = monitor.log("ssh-manager")
    assert monitor.run().status == 0
    path.unlink()
    assert monitor.problems() == [f"{path}: there is no log; it was removed, or its container never started"]
    path.symlink_to("nowhere")
    assert monitor.problems() == [f"{path}: there is no log; it was removed, or its container never started"]


def test_a_log_that_nobody_expected_is_verified_too(monitor: Monitor) -> None:
    path = monitor.logs / "stranger.jsonl"
    path.write_text("nonsense\n")
    assert monitor.problems() == [f"{path}: line 1 is no entry"]


def test_half_a_line_is_told_and_no_failure_once_the_log_goes_on(monitor: Monitor) -> None:
    path = monitor.log("ssh-manager")
    with path.open("ab") as file:
        file.write(b'{"time": "2026-01-')
    assert monitor.problems() == [
        f"{path}: line 4 was cut off while it was written, and nothing has gone on from it"
    ]
    monitor.log("ssh-manager", 1)
    outcome = monitor.run()
    assert outcome.status == 0
    assert (
        outcome.text.splitlines()[-1] == f"{path}: line 4 was cut off while it was written; the log goes on"
    )


def test_a_line_that_is_being_written_is_looked_at_again(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = monitor.log("ssh-manager")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])

    def finish(_seconds: float) -> None:
        path.write_bytes(whole)

    monkeypatch.setattr(time, "sleep", finish)
    assert monitor.run().status == 0


def test_a_log_is_verified_while_it_is_written(monitor: Monitor) -> None:
    monitor.log("ssh-manager", 0).touch()
    done = threading.Event()

    def write() -> None:
        log = AuditLog(monitor.logs / "ssh-manager.jsonl")
        while not done.is_set():
            log.append({"text": "x" * 20_000})
            time.sleep(0.005)  # a disk is no faster; without, all that is kept has changed before it was read

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [monitor.problems() for _round in range(20)]
    finally:
        done.set()
        writer.join()
    assert found == [[]] * 20


@pytest.mark.parametrize(
    ("state", "problem", "told"),
    [
        ("up", "", []),
        (
            "up",
            "tunnel-app says: The audit log one.jsonl is not what it was up to byte 7.",
            [
                "audit: logs of other servers: tunnel: tunnel-app says: The audit log one.jsonl is not what it was up to byte 7."
            ],
        ),
        ("down", "", ["tunnel-app: link: is down: it is not open yet"]),
    ],
)
def test_what_is_wrong_with_logs_of_other_servers_is_told(
    monitor: Monitor, state: str, problem: str, told: list[str]
) -> None:
    rules = {"verify": {"at": {"monitor": ["monitor"]}}, "link-status": {"at": {"tunnel": ["monitor"]}}}
    place = Place("monitor", "ssh-monitor", Policy({}, rules), {"tunnel": "tunnel"})
    link = {
        "tunnel": "tunnel-app",
        "state": state,
        "since": 0.5,
        "reconnects": 0,
        "failures": 0,
        "problem": "",
    }
    answer = json.dumps({"links": [link], "problems": [problem] if problem else []})
    status = int(bool(told))
    (monitor.folder / "bin" / "ssh").write_text(f"#!/bin/sh\necho '{answer}'\nexit {status}\n")
    outcome = runner.run(place, "monitor", ["verify", "--json"], io.BytesIO(), Style())
    found = json.loads(outcome.text)
    assert (found["problems"], outcome.status) == (told, status)
    assert len(found["checks"]) == 2


# What is remembered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "[]", '{"ssh-manager": 5}', '{"ssh-manager": {"lines": "many"}}'])
def test_a_damaged_memory_is_told_and_kept(monitor: Monitor, content: str) -> None:
    monitor.log("ssh-manager")
    assert monitor.run().status == 0
    monitor.heads.write_text(content)
    for _again in range(2):
        (problem,) = monitor.problems()
        assert problem.startswith(f"{monitor.heads} cannot be read")
    assert monitor.heads.read_text() == content
    monitor.heads.unlink()
    assert monitor.run().status == 0


def test_a_memory_that_cannot_be_written_is_told(monitor: Monitor) -> None:
    monitor.log("ssh-manager")
    (monitor.folder / "home" / ".local").symlink_to("nowhere")
    (problem,) = monitor.problems()
    assert problem.startswith(f"{monitor.heads} cannot be written")


def test_only_the_monitor_may_verify(monitor: Monitor) -> None:
    outcome = runner.run(PLACE, "manager", ["verify"], io.BytesIO(), Style())
    assert outcome.status == 77
    assert outcome.message.startswith("denied:")


# The monitor's copy --------------------------------------------------------------------------------------------------


def copy(monitor: Monitor, service: str) -> None:
    """What the daemon does all the time."""
    copies.follow(monitor.logs / f"{service}.jsonl", monitor.folder / "copies" / service)


def test_a_log_its_own_service_wrote_anew_between_two_runs_is_found_finding_s12(monitor: Monitor) -> None:
    path = monitor.log("git")
    copy(monitor, "git")
    path.unlink()
    monitor.log("git", 5)
    [problem] = monitor.problems()
    assert problem == f"{path}: line 1 of git.jsonl is not what the monitor's copy has"
    assert not monitor.heads.exists()


def test_only_what_is_new_is_read_while_the_copy_vouches_for_the_rest(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.log("git", 50)
    copy(monitor, "git")
    assert monitor.problems() == []
    monitor.log("git", 2)
    copy(monitor, "git")
    read: list[bytes] = []
    monkeypatch.setattr(chain, "decode", lambda line: read.append(line) or decode(line))
    assert [(log["lines"], log["problems"]) for log in monitor.data()["audit"]] == [(52, [])]
    assert len(read) == 2


def test_without_a_copy_all_of_the_log_is_read(monitor: Monitor) -> None:
    path = monitor.log("git", 5)
    assert monitor.problems() == []
    path.write_bytes(path.read_bytes().replace(b'"number": 1', b'"number": 7'))
    assert monitor.problems() == [f"{path}: line 3 does not follow line 2"]


def test_what_was_rotated_is_verified_and_remembered(monitor: Monitor) -> None:
    path = monitor.log("git")
    log = AuditLog(path, limit=500, keep=3)
    for number in range(12):
        log.append({"caller": "manager", "number": number})
        copy(monitor, "git")
        assert monitor.problems() == []
    oldest = min(path.parent.glob("git.jsonl.*"))
    oldest.write_bytes(oldest.read_bytes().replace(b"manager", b"nobody!"))
    assert any("is not what the monitor's copy has" in problem for problem in monitor.problems())
