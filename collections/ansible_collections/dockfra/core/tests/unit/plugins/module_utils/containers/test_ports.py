# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which ports are taken, and by whom."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.containers import ports
from ansible_collections.dockfra.core.tests.unit.support import is_root, run_python


def listener(address: str = "127.0.0.1", family: int = socket.AF_INET) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
    server.bind((address, 0))
    server.listen()
    return server


@pytest.fixture
def taken() -> Iterator[int]:
    with listener() as server:
        yield server.getsockname()[1]


def busy(places: list[str]) -> dict[str, str]:
    return ports.users(ports.taken(places))


def own() -> str:
    return f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"


def test_a_taken_port_says_who(taken: int) -> None:
    assert busy([f"127.0.0.1:{taken}"]) == {f"127.0.0.1:{taken}": own()}


def test_a_free_port_is_not_named() -> None:
    with listener() as server:
        port = server.getsockname()[1]
    assert busy([f"127.0.0.1:{port}", f"0.0.0.0:{port}"]) == {}
    assert busy([]) == {}


def test_one_address_takes_the_port_from_all_and_all_from_each(taken: int) -> None:
    assert list(busy([f"0.0.0.0:{taken}"])) == [f"0.0.0.0:{taken}"]
    with listener("0.0.0.0") as server:
        port = server.getsockname()[1]
        assert list(busy([f"127.0.0.1:{port}"])) == [f"127.0.0.1:{port}"]


def test_another_address_is_another_place(taken: int) -> None:
    assert busy([f"127.0.0.2:{taken}"]) == {}


def test_an_address_of_ipv6_is_a_place_too(taken: int) -> None:
    with listener("::1", socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert busy([f"[::1]:{port}"]) == {f"[::1]:{port}": own()}
    assert busy([f"[::1]:{taken}"]) == {}


def test_a_listener_on_all_of_ipv6_takes_ipv4_too() -> None:
    try:
        server = listener("::", socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        port = server.getsockname()[1]
        assert busy([f"127.0.0.1:{port}"]) == {f"127.0.0.1:{port}": own()}


def test_a_connection_that_has_ended_does_not_take_the_port() -> None:
    with listener() as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _peer = server.accept()
            accepted.close()  # the server's side closes first, so its port stays in TIME_WAIT
    assert busy([f"127.0.0.1:{port}"]) == {}


def test_places_this_machine_does_not_have_are_not_taken() -> None:
    assert busy(["192.0.2.1:8080", "nonsense.invalid:80"]) == {}


def test_another_process_is_named_with_its_number() -> None:
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        (user,) = busy([f"127.0.0.1:{port}"]).values()
        other.communicate(b"")
    assert user.endswith(f"(pid {other.pid})")


@is_root
def test_who_it_is_stays_hidden_from_other_users(taken: int) -> None:
    code = """
        from ansible_collections.dockfra.core.plugins.module_utils.containers import ports
        become(12345)
        print(ports.users(ports.taken(["127.0.0.1:" + sys.argv[1]])), ports.taken(["127.0.0.1:81"]))
        """
    # And a low port that only root may bind is not called taken.
    assert run_python(code, str(taken)) == f"{{'127.0.0.1:{taken}': 'another process'}} []\n"
