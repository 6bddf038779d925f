"""The builder's program at work as a process, for the tests of all that have something built."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import builds
from tests.e2e.support.builds import Content, tree
from tests.e2e.support.docker_gateway import wait_for

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(COLLECTIONS)!r});"
    "from ansible_collections.dockfra.core.plugins.plugin_utils.builder.main import main; main(sys.argv)"
)


class Builder:
    """The program at work on 127.0.0.1, made anew for each build as Docker does it."""

    def __init__(self, folder: Path, python: Path, **means: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.folder, self.work, self.wheels, self.out = (
            folder / name for name in ("", "work", "wheels", "out")
        )
        self.wheels.mkdir()
        self.out.mkdir()
        self.settings = {
            "listen": [{"host": "127.0.0.1", "port": self.port}],
            "work": str(self.work),
            "python": str(python),
            "pip": [sys.executable, "-m", "pip"],
            "wheels": str(self.wheels),
            **means,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.stop()
        subprocess.run(["rm", "-rf", self.work], check=True)
        self.work.mkdir()
        path = self.folder / "settings.json"
        path.write_text(json.dumps(self.settings))
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, path])

    def ended(self, seconds: float = 20) -> int:
        assert self.process
        return self.process.wait(seconds)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def build(
        self, files: Mapping[str, Content], services: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        self.start()
        wait_for(lambda: health(self) == "ready")
        try:
            return self.ask(tree(files), services, **options)
        finally:
            assert self.ended() == 0, "a life ends with its build"

    def ask(self, data: Any, services: Mapping[str, str] | None = None, **options: Any) -> Any:
        self.events: list[Mapping[str, Any]] = []
        given = {
            "tests": True,
            "folder": self.out,
            "deadline_seconds": 60.0,
            "on_event": self.events.append,
            **options,
        }
        return builds.build("127.0.0.1", self.port, data, services or {"web": "web"}, **given)


def health(builder: Builder) -> str:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", builder.port), 5) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()
        assert b" 200 " in answer.splitlines()[0]
        return str(json.loads(answer.rpartition(b"\r\n\r\n")[2])["message"])
    return ""


class LastingBuilder(Builder):
    """One that is there again after each build, until `stop`."""

    def __enter__(self) -> LastingBuilder:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        wait_for(lambda: health(self) == "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        while self._thread.is_alive():
            if self.process:
                self.process.terminate()
            self._thread.join(0.2)

    def _keep(self) -> None:
        while not self._over.is_set():
            self.start()
            assert self.process
            self.process.wait()


def plain_python(folder: Path) -> Path:
    """An environment without packages, as the image has one."""
    made = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    return made
