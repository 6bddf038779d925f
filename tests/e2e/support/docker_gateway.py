"""The program of the Docker gateway, at work on 127.0.0.1 before any engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .docker_probes import ask, request
from .runs import ROOT

IMAGE = ROOT / "collections/ansible_collections/dockfra/core/roles/docker_gateway/files/image"

# What h11 says of what is no request, and the gateway of what is one and does not pass.
MALFORMED = {400, 413, 414, 431, 501, 505}
FORBIDDEN = 403


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return value


class Gateway:
    """The program at work on 127.0.0.1.

    Attributes:
        port: where it listens.
    """

    def __init__(self, folder: Path, engine: Path, project: str, **limits: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        settings = {
            "project": project,
            "socket": str(engine),
            "listen": [{"host": "127.0.0.1", "port": self.port}],
            "stream_seconds": 3600,
            **limits,
        }
        configuration = folder / "settings.json"
        configuration.write_text(json.dumps(settings))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "docker_gateway", str(configuration)],
                cwd=IMAGE,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self.log)

    def log(self) -> list[dict[str, Any]]:
        text = self._log.read_text()
        assert "Traceback" not in text, text[text.index("Traceback") :][:4000]
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, method: str, target: str, *headers: str) -> tuple[int, str]:
        return ask("127.0.0.1", self.port, request(method, target, *headers))

    def close(self) -> None:
        self.process.terminate()
        assert self.process.wait(10) == 0, self._log.read_text()[-2000:]
