# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the containers, from engines that answer, refuse, hang and talk nonsense; and how ``status`` shows it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import containers, engines, health
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.engines import Engine
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine


def made(name: str, **state: Any) -> dict[str, Any]:
    """A container of an engine, no more than a list needs."""
    return {
        "Id": name,
        "Name": f"/{name}",
        "Image": "i",
        "State": {"Status": "running", **state},
        "Config": {},
        "HostConfig": {},
    }


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock") as found:
        yield found


def reached(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let these be the engines of the platform; each has services ``a`` to ``h`` with its number."""
    known = tuple(
        Engine("host", "gateway", address, {f"{letter}{number}": f"p-{letter}" for letter in "abcdefgh"})
        for number, address in enumerate(addresses)
    )
    monkeypatch.setattr(engines, "load", lambda: known)


def test_state_health_and_exit_code_are_read_from_one_list(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add(
        made("p-a", Health={"Status": "healthy"}),
        made("p-b", Health={"Status": "unhealthy"}),
        made("p-c", Health={"Status": "starting"}),
        made("p-d"),
        made("p-e", Status="exited", ExitCode=137, Health={"Status": "unhealthy"}),
        made("p-f", Status="restarting", ExitCode=1),
        made("p-g", Status="paused"),
        made("p-h", Status="created"),
        made("somebody-elses", Status="exited", ExitCode=1),
    )
    reached(monkeypatch, engine.url)
    assert containers.ask() == {
        "a0": {"state": "running", "health": "healthy", "exit_code": None},
        "b0": {"state": "running", "health": "unhealthy", "exit_code": None},
        "c0": {"state": "running", "health": "starting", "exit_code": None},
        "d0": {"state": "running", "health": "", "exit_code": None},
        "e0": {"state": "exited", "health": "", "exit_code": 137},
        "f0": {"state": "restarting", "health": "", "exit_code": 1},
        "g0": {"state": "paused", "health": "", "exit_code": None},
        "h0": {"state": "created", "health": "", "exit_code": None},
    }
    assert engine.requests == ["GET /containers/json"]


def served(answer: bytes | None) -> str:
    """A server that sends this to everybody, or nothing at all; returns its address."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        while True:
            connection, _address = server.accept()
            held.append(connection)
            if answer is not None:
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def body(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"SSH-2.0-OpenSSH_10.0\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        body(b"<html>"),
        body(b"{}"),
        body(b"null"),
        body(b"[1]"),
        body(b'[{"Names": []}]'),
        body(b'[{"Names": ["/p-a"]}]'),
        body(b'[{"Names": ["/p-a"], "State": ["exited"], "Status": "x"}]'),
        body(b'[{"Names": ["/p-a"], "State": "gone", "Status": "x"}]'),
        body(b"[" * 100_000),
        body(b" " * (containers.MAX_LIST + 1)),
    ],
)
def test_one_that_does_not_answer_as_an_engine_leaves_only_its_own_out(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    engine.add(made("p-a"))
    reached(monkeypatch, served(answer), engine.url)
    assert containers.ask(0.3) == {"a1": {"state": "running", "health": "", "exit_code": None}}


def test_without_a_gateway_in_reach_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONFIGURATION", tmp_path / "none.json")
    assert containers.ask() == {}
    (tmp_path / "none.json").write_text(json.dumps([]))
    assert containers.ask() == {}


def test_they_are_asked_beside_the_looks_and_an_old_answer_does_not_count() -> None:
    asked, hold = threading.Event(), threading.Event()
    answers = [{"a": {"state": "running"}}]

    def ask() -> Mapping[str, Mapping[str, Any]]:
        if asked.is_set():
            hold.wait(60)
        asked.set()
        return answers[0]

    found = containers.Containers(ask, period=0.01, fresh=0.3)
    asked.wait(60)
    deadline = time.monotonic() + 60
    while found.latest() != answers[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    # The next answer hangs: the first one counts for a while, and nobody waits.
    while found.latest() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found.latest() == {}
    hold.set()
    while not found.latest() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found.latest() == answers[0]


def service(name: str, container: Mapping[str, Any] | None = None, *probes: str) -> dict[str, Any]:
    each = [
        {"port": port, "state": "down", "milliseconds": 1, "detail": "connection refused"} for port in probes
    ]
    found = {"service": name, "state": health.DOWN if probes else health.UNKNOWN, "probes": each}
    return {**found, "container": container} if container else found


def test_people_see_a_stopped_container_as_such() -> None:
    ended = {"state": "exited", "health": "", "exit_code": 137}
    found = [service("backend", ended, "http", "more"), service("builder", ended), service("tester")]
    lines = [" ".join(line.split()) for line in health.render(found, Style()).splitlines()]
    assert lines[1:] == [
        "backend down http 1 its container ended with exit code 137; connection refused",
        "down more 1 connection refused",
        "builder stopped - - its container ended with exit code 137",
        "tester unknown - - not reachable from here",
        "0 of 3 services are up; down: backend; stopped: builder; not reachable from here: tester",
    ]
    assert health.failing([service("builder", ended)])
    assert not health.failing([service("builder", {"state": "running", "health": "", "exit_code": None})])
    assert not health.failing([service("tester")])
    assert health.stopped(service("x", {"state": "paused", "exit_code": None})) == "its container is paused"
    again = service("x", {"state": "restarting", "exit_code": 1})
    assert health.stopped(again) == "its container ended with exit code 1 and is started again"
