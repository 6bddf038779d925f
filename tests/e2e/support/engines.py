"""The Docker hosts of the platform under test: this machine, or the containers that stand for servers (tests/servers/run.py).

An engine in such a server is reached through its own socket, as root of this machine; what is measured in a server's containers is
measured from within the server, where their processes have the numbers that its engine tells.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import docker

from tests.servers import run as servers

from .runs import PATIENCE

_CLONE_NEWNET = 0x40000000  # sched.h
NETPROBE = Path(__file__).with_name("netprobe.py")
# The label of what tests make for themselves, so that others beside them know that it may go any moment.
OF_TESTS = "dockfra.of-tests"


def as_root(*command: str) -> list[str]:
    """A command that runs as root."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", *command]


@cache
def _client(socket: str) -> docker.DockerClient:
    return (
        docker.DockerClient(base_url=socket, timeout=PATIENCE)
        if socket
        else docker.from_env(timeout=PATIENCE)
    )


class Engine:
    """An engine.

    Args:
        name: of its Docker host.
        server: the name of the server in which it is; empty for the one of this machine.
    """

    def __init__(self, name: str, server: str = "") -> None:
        self.name = name
        self._server = server

    @property
    def address(self) -> str:
        """Where this machine reaches what its Docker host publishes to others."""
        return servers.address(self._server) if self._server else "127.0.0.1"

    @property
    def client(self) -> docker.DockerClient:
        """Its client: of the engine that runs now, as a server may have been restarted."""
        return _client(self.socket)

    def command(self, *words: str) -> list[str]:
        """A command line of Docker's own client for it."""
        return ["docker", *(["--host", self.socket] if self._server else []), *words]

    def on_network(self, *command: str) -> list[str]:
        """A command line that runs a program of this machine in the Docker host's network."""
        return (
            as_root("nsenter", f"--net=/proc/{servers.pid(self._server)}/ns/net", *command)
            if self._server
            else list(command)
        )

    def join_network(self) -> None:
        """Let what the calling thread opens from now on be in the Docker host's network; needs root where that is a server."""
        if not self._server:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{servers.pid(self._server)}/ns/net", "rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"{self._server}: its network cannot be joined")

    def path(self, path: str) -> Path:
        """Where this machine finds a file of the Docker host."""
        # A link in a server that begins with / would lead to a place of this machine.
        path = path.replace("/var/run/", "/run/", 1)
        return Path(f"/proc/{servers.pid(self._server)}/root{path}") if self._server else Path(path)

    def network_of(self, pid: int) -> str:
        """The file of the network namespace of a process that the engine tells."""
        return str(self.path(f"/proc/{pid}/ns/net"))

    def netprobe(self, action: str, request: Any) -> dict[str, list[tuple[str, int]]]:
        """What netprobe.py says of processes that its engine tells."""
        command = [sys.executable, str(NETPROBE), action]
        if self._server:
            inside = ["nsenter", "--target", str(servers.pid(self._server)), "--mount", "--pid", "--"]
            command = [*inside, "/usr/bin/python3", "-c", NETPROBE.read_text(encoding="utf-8"), action]
        done = subprocess.run(
            as_root(*command), input=json.dumps(request), capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, list[tuple[str, int]]] = json.loads(done.stdout)
        return answer

    @property
    def socket(self) -> str:
        """Where Docker's own client finds it (``DOCKER_HOST``); empty for the one of this machine."""
        return f"unix://{self.path('/run/docker.sock')}" if self._server else ""
