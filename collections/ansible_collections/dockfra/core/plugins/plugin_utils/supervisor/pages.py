# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Pages behind a web server that goes on: a release of them is a link, which the server follows.

The server's root is the link, and what a request gets is found once, in the directory that the link led to at its beginning. So
a switch is one rename, and nothing is reloaded or dropped. The header ``X-Release`` comes from that directory's name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from ...module_utils.releases.state import one_line
from .instance import Instance, Problem, how_ended
from .source import Source

# Seconds for an answer of the server, and for the server to show the new pages.
_ANSWER = 5.0
_MAX_ANSWER = 16 * 1024
_SPARE = 1.0


class Server:
    """The web server, whose processes end with each other.

    Args:
        command: its command line.
        address: host and port at which it is asked whether it serves.
        link: its root.
    """

    def __init__(self, command: Sequence[str], address: tuple[str, int], link: str) -> None:
        self.address, self.link = address, link
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_at = float("inf")

    @property
    def pid(self) -> int:
        """The id of its main process; 0 where none runs."""
        return self._process.pid if self._process else 0

    def ensure(self) -> None:
        """Start it where it does not run; raises OSError."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)

    def ended(self) -> Problem | None:
        """Return why it has ended, when that is first noticed."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            if time.monotonic() >= self._kill_at:
                self._kill()
            return None
        self._kill()  # one of its processes may go on, and hold the socket
        how = how_ended(self._process.returncode)
        self._process = None
        return Problem("crashed", f"the web server ended {how}")

    def stop(self, seconds: float) -> None:
        """End it; nginx finishes what is under way on SIGQUIT."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._kill_at = min(self._kill_at, time.monotonic() + seconds + _SPARE)

    def point(self, target: str) -> None:
        """Let the root lead to a directory, in one step; raises OSError."""
        new = f"{self.link}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        os.symlink(target, new)
        os.rename(new, self.link)

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and ``X-Release`` of an answer; 0 and what is wrong where there is none."""
        try:
            with socket.create_connection(self.address, timeout=_ANSWER) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                head = _head(connection)
        except OSError as error:
            return 0, error.strerror or str(error)
        first, *lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        code = first.split(" ")[1] if first.startswith("HTTP/") and " " in first else ""
        return (int(code), fields.get("x-release", "")) if code.isdecimal() else (0, "no HTTP")

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _head(connection: socket.socket) -> str:
    """Read the head of an answer."""
    data = b""
    deadline = time.monotonic() + _ANSWER
    while b"\r\n\r\n" not in data and len(data) < _MAX_ANSWER and time.monotonic() < deadline:
        part = connection.recv(_MAX_ANSWER)
        if not part:
            break
        data += part
    return data.partition(b"\r\n\r\n")[0].decode("latin-1")


class Pages(Instance):
    """Pages of one source.

    Args:
        source: the pages.
        server: the server that all share.
    """

    def __init__(self, source: Source, server: Server) -> None:
        super().__init__(source)
        self._server = server

    @property
    def pid(self) -> int:
        """The id of the server's main process; 0 where none runs."""
        return self._server.pid

    def start(self, prove: bool) -> None:
        try:
            if prove:
                with open(os.path.join(self.source.root, self.source.spec.index), "rb") as file:
                    file.read(1)
            else:
                # After a start, or an end of the server, nothing else serves.
                self._server.point(self.source.root)
                self._server.ensure()
        except OSError as error:
            self.problem = Problem("unhealthy", f"{self.source.spec.index}: {error.strerror}")
            return
        self.proved = True

    def pump(self) -> None:
        if self.accepting and not self.problem:
            self.problem = self._server.ended()

    def accept(self) -> None:
        self.admitted = True
        try:
            before = os.readlink(self._server.link)
            if before != self.source.root:
                self._server.point(self.source.root)
                if problem := self._shown():
                    self._server.point(before)
                    self.problem = Problem("unhealthy", one_line(problem))
        except OSError as error:
            self.problem = Problem("unhealthy", f"{self._server.link}: {error.strerror}")
        self.accepting = not self.problem

    def _shown(self) -> str:
        """What the server shows of the pages that is wrong; empty where all is right."""
        for path in ("/", self.source.spec.health.path, *self.source.spec.health.pages):
            status, release = self._server.ask(path)
            if status != 200 or release != self.release.lower():
                return f"{path} answers {status} {release}".strip()
        return ""

    def drain(self) -> None:
        self.accepting = False

    def resume(self) -> None:
        try:
            self._server.point(self.source.root)
            self._server.ensure()
        except OSError as error:
            self.problem = Problem("crashed", f"{self._server.link}: {error.strerror}")
        self.accepting = not self.problem

    def retire(self) -> None:
        self.gone = True

    def stop(self, seconds: float) -> None:
        self.gone = True

    def watch(self) -> None:
        """Nothing of a release runs, so nothing of it can hang."""
