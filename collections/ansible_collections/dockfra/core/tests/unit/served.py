# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervised service for the tests: releases of a small application, the supervisor as a process, and clients."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.releases import ids, spec_file, state, switch
from ansible_collections.dockfra.core.plugins.module_utils.releases.record import Record
from ansible_collections.dockfra.core.plugins.module_utils.releases.state import State
from ansible_collections.dockfra.core.plugins.module_utils.releases.store import Store
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

# The backend's environment has uvicorn, and what that needs.
ENVIRONMENT = COLLECTIONS.parent / ".venv-backend"
# Written in Python alone, so that another version of Python runs them too.
PACKAGES = ("uvicorn", "h11", "click", "typing_extensions.py")

SPEC = """
    kind: python
    start: {{app: "application:app", headers: {{X-Content-Type-Options: nosniff}}, seconds: {start}}}
    health: {{pages: [/page]}}
    drain_seconds: {drain}
    settle_seconds: {settle}
    """

# Notes each POST where DOCKFRA_NOTES says, by one write, and fails in the ways that releases do.
APPLICATION = """
import asyncio, json, os, sys, threading, time
MODE, VERSION = {mode!r}, {version!r}
RELEASE = os.environ.get("DOCKFRA_RELEASE", "")
notes = os.open(os.environ["DOCKFRA_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
if MODE == "import":
    import no_such_package
if MODE == "exit":
    sys.exit("configuration missing")
if MODE == "sleep":
    time.sleep(600)
if MODE == "memory":
    os.kill(os.getpid(), 9)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if MODE == "lifespan":
                    await send({{"type": "lifespan.startup.failed", "message": "Traceback\\nOSError: no database"}})
                    return
                if MODE == "wait":
                    await asyncio.sleep(600)
                if MODE == "block":
                    time.sleep(600)
                await send({{"type": "lifespan.startup.complete"}})
            else:
                if MODE == "undying":
                    while True:
                        time.sleep(1)
                await send({{"type": "lifespan.shutdown.complete"}})
                return
    path = scope["path"]
    status, body = 200, dict(version=VERSION, release=RELEASE, pid=os.getpid(), files=os.environ["DOCKFRA_RELEASE_FILES"])
    if path == "/health":
        if MODE == "unhealthy":
            status = 503
        if MODE == "refused":
            status, body = 503, dict(refused="schema 7 of the database needs a newer release")
        if MODE == "silent":
            await asyncio.sleep(600)
        if MODE == "raising":
            raise RuntimeError("nothing works")
    elif path == "/page" and MODE == "pages":
        status = 500
    elif path == "/page" and MODE == "bare":
        raise RuntimeError("no page")
    elif path == "/page" and MODE == "broken":
        await send({{"type": "http.response.start", "status": 500, "headers": []}})
        await send({{"type": "http.response.body", "body": b"oh"}})
        raise RuntimeError("no page")
    elif path == "/slow":
        await asyncio.sleep(float(scope["query_string"]))
    elif path == "/crash":
        os._exit(3)
    elif path == "/block":
        time.sleep(600)
    elif path == "/raise":
        raise RuntimeError("asked for")
    elif path == "/missing":
        status = 404
    if scope["method"] == "POST":
        data = b""
        while True:
            message = await receive()
            data += message.get("body", b"")
            if not message.get("more_body"):
                break
        os.write(notes, data + b"\\n")
    data = json.dumps(body).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({{"type": "http.response.start", "status": status, "headers": head}})
    await send({{"type": "http.response.body", "body": data}})

if MODE.startswith("crash ") and RELEASE:
    threading.Timer(float(MODE.split()[1]), os._exit, (3,)).start()
"""


def packages(place: Path) -> None:
    """Put what an application needs into a release."""
    if not ENVIRONMENT.exists():
        pytest.fail("the backend's environment is missing: ./run-tests.sh unit makes it")
    [site] = ENVIRONMENT.glob("lib/python3*/site-packages")
    place.mkdir()
    for name in PACKAGES:
        (place / name).symlink_to(site / name)


def wait_for(check: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


class Service:
    """A supervised service.

    Attributes:
        store: its releases, as the bastion has them.
        notes: where its application notes each POST.
    """

    def __init__(self, root: Path, name: str = "backend") -> None:
        self.root, self.name, self.port = root, name, free_port()
        self.releases, self.states, self.app = root / "releases", root / "states", root / "app"
        for folder in (self.releases / name, self.states / name):
            folder.mkdir(parents=True)
        self.store = Store(name, self.releases)
        self.notes = root / "notes"
        self.environment: dict[str, str] = {}
        self.log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def options(self) -> list[str]:
        python = str(ENVIRONMENT / "bin" / "python")
        return ["--python", python]

    # Releases

    def fill(self, content: Path, mode: str, **times: float) -> None:
        """Write an application and its specification."""
        values = {"start": 10, "drain": 10, "settle": 0, **times}
        content.mkdir(parents=True, exist_ok=True)
        (content / "application.py").write_text(APPLICATION.format(mode=mode, version=content.parent.name))
        spec = spec_file.parse(textwrap.dedent(SPEC.format(**values)).encode())
        (content / "spec.json").write_bytes(spec.to_json())

    def image(self, mode: str = "", **times: float) -> None:
        self.fill(self.app, mode, **times)

    def release(self, mode: str = "", **times: float) -> str:
        """Put a release into the store."""
        number = next(self._numbers)
        commit = f"{number:040x}"[::-1]
        release = ids.new_id(commit, 1_800_000_000 + number)
        folder = self.releases / self.name / release
        self.fill(folder / "content", mode, **times)
        packages(folder / "content" / "packages")
        record = Record(release, self.name, commit, "0" * 64, 0, "tests")
        (folder / "release.json").write_bytes(record.to_json())
        return release

    def switch(self, release: str, phases: list[tuple[str, float]] | None = None) -> switch.Switched:
        """Switch as the bastion does."""
        begin = time.monotonic()

        def note(phase: str) -> None:
            if phases is not None:
                phases.append((phase, time.monotonic() - begin))

        with self.store.locked("tests", "switch"):
            return switch.switch(self.store, release, self.states, note)

    def state(self) -> State:
        return state.read(self.states / self.name) or State()

    # The process

    def start(self) -> None:
        command = [
            sys.executable,
            "-c",
            "import sys; from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.main import main; "
            "sys.exit(main())",
            *("--app", str(self.app), "--host", "127.0.0.1", "--run", str(self.root / "run")),
            *("--releases", str(self.releases), "--states", str(self.states)),
            *self.options(),
        ]
        environment = {
            **self.environment,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(COLLECTIONS),
            "DOCKFRA_PORT_HTTP": str(self.port),
            "DOCKFRA_NOTES": str(self.notes),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def up(self) -> None:
        """Start it and wait until it answers."""
        self.start()
        wait_for(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/health")[0] == 200
        return False

    def get(self, path: str = "/", method: str = "GET") -> tuple[int, str, dict[str, Any]]:
        """Return status, X-Release and content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            data = answer.read()
            found = json.loads(data) if data.startswith(b"{") else {"text": data.decode()}
            return answer.status, answer.headers.get("X-Release", ""), found
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            return connection.recv(65536)

    def events(self) -> list[dict[str, Any]]:
        """What the supervisor has logged."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"time"')]

    def workers(self) -> list[int]:
        """The processes that the supervisor has started."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def clean(self) -> None:
        if self.process and self.process.poll() is None:
            workers = self.workers()
            self.process.kill()
            self.process.wait(10)
            for pid in workers:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)


class Load:
    """Clients that ask all the time, each with its own way, and note every failure.

    Like a proxy they keep a connection for no longer than 2 s without a request, and repeat nothing.
    """

    WAYS = (
        ("keep GET", True, "GET"),
        ("keep POST", True, "POST"),
        ("fresh GET", False, "GET"),
        ("fresh POST", False, "POST"),
        ("slow", True, "SLOW"),
    )

    def __init__(self, port: int, pause: float = 0.01, slow: float = 1.5, each: int = 1) -> None:
        self.port, self.pause, self.slow = port, pause, slow
        self.failed: list[str] = []
        self.done: Counter[str] = Counter()
        self.posted: list[str] = []
        self.releases: list[tuple[float, float, str]] = []
        self.seconds: list[float] = []
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"{name} {number}", keep, method))
            for name, keep, method in self.WAYS
            for number in range(each)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self, name: str, keep: bool, method: str) -> None:
        connection = self._connection()
        for number in itertools.count():
            if self._stopped.wait(self.pause):
                break
            begin = time.monotonic()
            body = f"{name} {number}" if method == "POST" else None
            path = f"/slow?{self.slow}" if method == "SLOW" else "/"
            try:
                connection.request("POST" if body else "GET", path, body)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise http.client.HTTPException(str(answer.status))
                self.releases.append((begin, time.monotonic(), answer.headers.get("X-Release", "")))
                closes = answer.will_close
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{name} {number}: {error!r}")
                closes = True
            else:
                self.done[name] += 1
                if method != "SLOW":
                    self.seconds.append(time.monotonic() - begin)
                if body:
                    self.posted.append(body)
            if closes or not keep:
                connection.close()
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def noted_once(self, notes: Path) -> bool:
        """Whether every POST that was answered was done exactly once, and no other."""
        return sorted(notes.read_text().split("\n")[:-1]) == sorted(self.posted)


@contextlib.contextmanager
def running(root: Path) -> Iterator[Service]:
    """A service that serves what its image brought."""
    service = Service(root)
    service.image()
    try:
        service.up()
        yield service
    finally:
        service.clean()
