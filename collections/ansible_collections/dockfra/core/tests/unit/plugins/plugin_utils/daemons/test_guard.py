# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the guard does with what sshd says: on to the log, and an end for what is too much, told in the audit."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import limits as audit_limits
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read, verify
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.ssh import keys
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.refusals import MAX_LINES, Refusals
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import guard as module
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import room
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.guard import Guard, Settings
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.limits import PERIOD, Limits

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
PLACE = Place("git", "git", Policy({}, {}), {})


class Container:
    """A container with a guard whose sshd is a pipe, and whose sessions are processes of the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[dict[str, Any]] = []
        self.now = 0.0
        self.source, self.sshd = os.pipe()
        self.audit = folder / "git.jsonl"
        (folder / "authorized_keys").write_text(
            f'restrict,command="/usr/local/bin/gate developer" ssh-ed25519 {BLOB}\n'
        )
        self.limit(2)
        self.daemon = Daemon("guard", folder)
        self.daemon.log = lambda event, **fields: self.said.append({"event": event, **fields})  # type: ignore[method-assign]
        self.limits = Limits(self.daemon, PLACE, str(folder), lambda: self.now)
        self.guard = self.started()
        self.sessions: list[subprocess.Popen[bytes]] = []

    def started(self) -> Guard:
        paths = (self.folder / "guard.json", self.folder / "authorized_keys")
        return Guard(self.daemon, self.limits, self.source, *paths)

    def limit(self, per_key: int, room: dict[str, int] | None = None) -> None:
        settings = {"per_key": per_key, "half_open": 3, "patience": 2, "room": room or {}}
        (self.folder / "guard.json").write_text(json.dumps(settings))

    def connect(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "60"])
        self.sessions.append(process)
        # A program has its name a moment after it was started.
        while Path(f"/proc/{process.pid}/comm").read_text().strip() != "sleep":
            time.sleep(0.001)
        tag = f"(bin=sshd-session, pid={process.pid}): "
        print_ = keys.fingerprint(BLOB)
        self.say(
            f'sshd-session.c:main():1 {tag}Connection from 10.0.0.2 port 1 on 10.0.0.9 port 2222 rdomain ""\n'
        )
        self.say(
            f"auth.c:auth_log():2 {tag}Accepted publickey for git from 10.0.0.2 port 1 ssh2: ED25519 {print_}\n"
        )
        return process

    def say(self, text: str) -> None:
        os.write(self.sshd, text.encode())

    def entries(self) -> list[dict[str, Any]]:
        return list(read(self.audit)) if self.audit.exists() else []


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    monkeypatch.setattr(module, "_SESSIONS", ("sleep",))
    found = Container(tmp_path)
    yield found
    for process in found.sessions:
        process.kill()
        process.wait()
    os.close(found.source)
    os.close(found.sshd)


def test_connections_above_a_keys_share_end_and_the_audit_says_whose_finding_s3(container: Container) -> None:
    processes = [container.connect() for _number in range(5)]
    assert list(container.guard.step()) == []
    assert [process.wait(timeout=10) for process in processes[2:]] == [-9, -9, -9]
    assert [process.poll() for process in processes[:2]] == [None, None]
    [entry] = container.entries()
    told = {"caller": "developer", "limit": "connections", "verdict": "denied", "count": 3}
    assert entry | told == entry
    now = datetime.datetime.now(datetime.UTC)
    [reached] = audit_limits.reached(str(container.audit), now)
    assert (reached.service, reached.caller, reached.times) == ("git", "developer", 3)
    assert audit_limits.reached(str(container.audit), now + datetime.timedelta(hours=1)) == []


def test_somebody_who_goes_on_and_on_gets_few_lines(container: Container) -> None:
    for _number in range(20):
        container.connect()
        list(container.guard.step())
    assert len(container.entries()) == 1
    container.now += PERIOD
    list(container.guard.step())
    assert [entry["count"] for entry in container.entries()] == [1, 17]
    assert verify(container.audit).problems == ()


def test_a_guard_that_was_started_anew_goes_on(container: Container) -> None:
    first = container.connect()
    list(container.guard.step())
    container.guard = container.started()
    container.limit(1)
    second = container.connect()
    list(container.guard.step())
    assert second.wait(timeout=10) == -9
    assert first.poll() is None


def test_lines_go_on_to_the_log_whole_though_they_come_in_pieces(container: Container) -> None:
    container.say("Server listening on 127.0.0.1 port 2222.\nConnection closed by 127.0.0.1 port 5\nRecei")
    list(container.guard.step())
    container.say("ved disconnect\nConnection closed by 10.0.0.2 port 5\n" + "x" * 10_000 + "\n")
    list(container.guard.step())
    told = [entry["message"] for entry in container.said if entry["event"] == "sshd"]
    assert told[:3] == [
        "Server listening on 127.0.0.1 port 2222.",
        "Received disconnect",
        "Connection closed by 10.0.0.2 port 5",
    ]
    assert len(told[3]) == module.MAX_LINE


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"per_key": 1, "half_open": 1, "patience": 1, "room": 5}'])
def test_settings_that_are_wrong_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="is not what the role writes"):
        Settings.parse(text)


def test_a_full_home_is_told_closed_and_opened_again_finding_s8(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(room, "end_all", ended.append)
    home = container.folder / "home"
    home.mkdir()
    container.limit(2, {str(home): 1_000_000, "/nonexistent": 1})
    assert list(container.guard.step()) == []
    (home / "file").write_bytes(b"x" * 850_000)
    assert list(container.guard.step()) == []
    assert [entry["verdict"] for entry in container.entries()] == ["warned"]
    (home / "more").write_bytes(b"x" * 200_000)
    [problem] = container.guard.step()
    assert problem.startswith(f"{home} takes 1 MiB of 0")
    assert ended
    assert (container.folder / "closed").exists()
    list(container.guard.step())
    assert [entry["limit"] for entry in container.entries()][1:] == [f"room in {home}"]
    (home / "file").unlink()
    assert list(container.guard.step()) == []
    assert not (container.folder / "closed").exists()


def test_refused_calls_that_had_no_line_are_counted_when_their_caller_has_gone(tmp_path: Path) -> None:
    said: list[str] = []
    daemon = Daemon("guard", tmp_path)
    daemon.log = lambda event, **_fields: said.append(event)  # type: ignore[method-assign]
    gate = tmp_path / "gate"
    limits = Limits(daemon, PLACE, str(tmp_path), lambda: 0.0, str(gate))
    refused = Refusals("developer", str(gate))
    for _call in range(MAX_LINES + 7):
        refused.one_more()
    limits.tell()
    [line] = read(tmp_path / "git.jsonl")
    assert (line["caller"], line["verdict"], line["count"], line["role"]) == ("developer", "denied", 7, "git")
    assert said == ["limit"]
