# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who has which connections, as the lines of a real sshd (OpenSSH 10.0) say, and which are too many."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.ssh import keys
from ansible_collections.dockfra.core.plugins.module_utils.ssh.connections import (
    MAX_KNOWN,
    Connections,
    parse,
)

KEY = "SHA256:p1S1rRG1Oft5pcDtWWOAWLRsWvT7kFeIbA5Is5eiD60"
OTHER = KEY.replace("p1S1", "q2T2")


class Server:
    """An sshd that says what a real one says."""

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.connections = Connections(self.alive.__contains__)

    def says(self, line: str, now: float = 0.0) -> None:
        self.connections.said(parse(line), now)

    def opens(self, pid: int, now: float = 0.0, address: str = "10.0.0.2") -> None:
        self.alive.add(pid)
        tag = f"sshd-session.c:main():1272 (bin=sshd-session, pid={pid}): "
        self.says(f'{tag}Connection from {address} port 4{pid} on 10.0.0.9 port 2222 rdomain ""', now)

    def admits(self, pid: int, now: float = 0.0, key: str = KEY) -> None:
        tag = f"auth.c:auth_log():296 (bin=sshd-session, pid={pid}): "
        self.says(f"{tag}Accepted publickey for git from 10.0.0.2 port 4{pid} ssh2: ED25519 {key}", now)

    def too_many(self, now: float, per_key: int = 2, half_open: int = 3) -> list[tuple[int, str]]:
        self.connections.forget_ended()
        found = self.connections.too_many(now, per_key, half_open, 2.0)
        return [(entry.connection.pid, entry.limit) for entry in found]


@pytest.fixture
def server() -> Server:
    return Server()


def test_the_newest_connections_of_a_key_are_too_many_finding_s3(server: Server) -> None:
    for pid in range(1, 6):
        server.opens(pid)
        server.admits(pid)
    server.opens(6)
    server.admits(6, key=OTHER)
    assert server.too_many(0) == [(3, "connections"), (4, "connections"), (5, "connections")]
    server.alive -= {1, 3, 4}
    assert server.too_many(0) == []


def test_many_half_open_connections_are_hurried_and_few_are_not_finding_s9(server: Server) -> None:
    for pid in range(1, 4):
        server.opens(pid, now=0)
    assert server.too_many(9) == []
    server.opens(4, now=8)
    server.opens(5, now=8)
    assert server.too_many(9) == [(1, "half-open connections"), (2, "half-open connections")]
    server.admits(1)
    server.admits(2)
    assert server.too_many(9) == []


def test_a_restarted_guard_knows_what_the_one_before_it_knew(server: Server) -> None:
    server.opens(1)
    server.admits(1)
    server.opens(2)
    after = Connections(server.alive.__contains__)
    after.load(server.connections.dump())
    assert after.dump() == server.connections.dump()
    assert [found.pid for found in after.half_open()] == [2]
    with pytest.raises((KeyError, TypeError, ValueError)):
        after.load([{"pid": "x"}])


@pytest.mark.parametrize(
    ("line", "text", "pid", "worth"),
    [
        ("Server listening on 127.0.0.1 port 2222.", "Server listening on 127.0.0.1 port 2222.", 0, True),
        (
            "debug1: sshd-session.c:main():1193 (bin=sshd-session, pid=119): network sockets: 7, 7",
            *("network sockets: 7, 7", 119, False),
        ),
        (
            "auth.c:auth_log():296 (bin=sshd-auth, pid=120): Failed publickey for bob from 10.0.0.2 port 1 ssh2",
            *("Failed publickey for bob from 10.0.0.2 port 1 ssh2", 120, True),
        ),
    ],
)
def test_lines_are_read_as_sshd_writes_them(line: str, text: str, pid: int, worth: bool) -> None:
    assert parse(line) == (text, pid, worth)


@pytest.mark.parametrize(
    "line",
    [
        f"Accepted publickey for git from 10.0.0.2 port 41 ssh2: ED25519 {KEY}",
        f"Invalid user x auth.c:a():1 (bin=sshd, pid=1): Accepted publickey for git from 1.1.1.1 port 1 ssh2: X {KEY}",
        f"auth.c:a():1 (bin=s, pid=1): Invalid user Accepted publickey for git from 1.1.1.1 port 1 ssh2: X {KEY}",
    ],
)
def test_a_user_name_cannot_pass_for_a_line_of_sshd(server: Server, line: str) -> None:
    server.alive.add(1)
    server.says(line)
    assert server.connections.dump() == []


def test_what_is_known_is_bounded(server: Server) -> None:
    for pid in range(MAX_KNOWN + 50):
        server.opens(pid)
    assert len(server.connections.dump()) == MAX_KNOWN


def test_a_key_is_named_by_its_gate_or_its_comment(tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", tmp_path / "key"], check=True
    )
    blob = (tmp_path / "key.pub").read_text().split()[1]
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    assert keys.fingerprint(blob) == shown
    gate = f'restrict,pty,command="/usr/local/bin/gate developer" ssh-ed25519 {blob} some comment'
    assert keys.names(["# nothing", "", gate]) == {shown: "developer"}
    assert keys.names([f"restrict,pty ssh-ed25519 {blob} dockfra manager"]) == {shown: "dockfra manager"}
    assert keys.names([f"restrict ssh-ed25519 {blob}"]) == {shown: shown}
    assert keys.names(["ssh-ed25519 A not-a-key"]) == {}
