# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the engine's reader makes of answers that are none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.containers.client import Client
from ansible_collections.dockfra.core.plugins.module_utils.errors import EngineError
from ansible_collections.dockfra.core.tests.unit.hostile_server import ANSWERS, OK, SLOW, HostileServer

SIZE = 256 * 1024


def client(path: Path, seconds: float = 10) -> Client:
    return Client({"DOCKER_HOST": f"unix://{path}"}, seconds, SIZE)


@pytest.mark.parametrize("kind", ANSWERS)
def test_finding_s4_an_endless_answer_of_an_engine_is_not_read_on(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with HostileServer(kind, path) as server:
        with pytest.raises(EngineError) as caught:
            client(path).get("/version")
        assert server.sent < SIZE + 16 * 1024 * 1024
    assert str(caught.value).startswith(str(path))
    assert f"more than {SIZE} bytes" in str(caught.value) or "got more than" in str(caught.value)


@pytest.mark.parametrize("kind", SLOW)
def test_finding_s4_an_engine_that_drips_is_late(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    begin = time.monotonic()
    with HostileServer(kind, path), pytest.raises(EngineError, match=r"did not answer in 0\.4 s"):
        client(path, 0.4).get("/version")
    assert time.monotonic() - begin < 5


def test_finding_s4_an_answer_over_tcp_has_the_same_bounds() -> None:
    with HostileServer("body") as server, pytest.raises(EngineError, match=f"127.0.0.1 .*more than {SIZE}"):
        Client({"DOCKER_HOST": f"tcp://127.0.0.1:{server.port}"}, 10, SIZE).get("/version")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"<html>", b""])
def test_what_is_no_json_is_one_line(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    answer = OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with HostileServer(answer, path), pytest.raises(EngineError, match="/version is no JSON"):
        client(path).get("/version")


def test_after_an_answer_that_was_not_read_on_comes_the_next(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with HostileServer("body", path) as server:
        asking = client(path)
        for _twice in range(2):
            with pytest.raises(EngineError, match="more than"):
                asking.get("/version")
        assert server.asked == 2
