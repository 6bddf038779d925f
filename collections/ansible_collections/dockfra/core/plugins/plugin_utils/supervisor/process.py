# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A worker process, see `worker`, as the supervisor holds it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...module_utils.releases.spec import PACKAGES
from ...module_utils.releases.state import one_line
from .instance import Instance, Problem, how_ended
from .source import IMAGE, Source

WORKER = str(Path(__file__).with_name("worker.py"))

# Seconds without an answer after which a worker that is watched counts as hung, and between two questions.
HUNG = 5.0
_PING = 1.0
# Seconds that a worker has to end after the time for what is under way.
_SPARE = 1.5
_MAX_LINE = 16 * 1024


@dataclass(frozen=True)
class Means:
    """What workers are started with.

    Attributes:
        image_python: the interpreter of the image's own environment.
        release_python: the one for releases, which bring their packages.
        listen: the listening sockets.
        environment: of all workers.
    """

    image_python: Sequence[str]
    release_python: Sequence[str]
    listen: Sequence[socket.socket]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Process(Instance):
    """A worker process.

    Args:
        source: what it serves. Of a release of kind files the files: the application is the image's own.
        image: what the image brought.
        means: what it is started with.
    """

    def __init__(self, source: Source, image: Source, means: Means) -> None:
        super().__init__(source)
        self._image, self._means = image, means
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._rest = b""
        self._unhealthy = ""
        self._deadline = self._kill_at = self._drained_by = float("inf")
        self._drained = self._retiring = False
        self._asked_at = 0.0

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        return self._process.pid if self._process else 0

    def start(self, prove: bool) -> None:
        brings_code = self.release != IMAGE and self.source.spec.kind == "python"
        code = self.source if brings_code else self._image
        python = self._means.release_python if brings_code else self._means.image_python
        self._line, other = socket.socketpair()
        self._line.setblocking(False)
        listen = [sock.fileno() for sock in self._means.listen]
        try:
            self._process = subprocess.Popen(
                [*python, WORKER, str(other.fileno())],
                cwd=code.content,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[*listen, other.fileno()],
                # Its own children end with it.
                start_new_session=True,
            )
        except OSError as error:
            self.problem = Problem("crashed", f"it cannot be started: {error.strerror}")
            self._close()
            return
        finally:
            other.close()
        start = code.spec.start
        self._deadline = time.monotonic() + code.spec.start_seconds
        self._order(
            app=start.app if start else "",
            factory=bool(start and start.factory),
            headers={
                **({"X-Release": self.release} if self.release else {}),
                **(start.headers if start else {}),
            },
            release=self.release,
            paths=[code.content],
            packages=os.path.join(code.content, PACKAGES) if brings_code else "",
            listen=listen,
            prove=prove,
            health=self.source.spec.health.path,
            pages=self.source.spec.health.pages,
        )

    def _environment(self) -> dict[str, str]:
        files = self.source.root if self.source.spec.kind == "files" else ""
        return {
            **self._means.environment,
            "DOCKFRA_RELEASE": self.release,
            "DOCKFRA_RELEASE_FILES": files,
            "DOCKFRA_SCHEMA_MIN": str(self.source.spec.schema_min),
        }

    def pump(self) -> None:
        self._hear()
        now = time.monotonic()
        if self._process and self._process.poll() is not None:
            self._ended(self._process.returncode)
        elif now >= self._kill_at:
            self._kill()
        elif now >= self._deadline and not self.problem:
            within = f"within {self.source.spec.start_seconds} s"
            hung = Problem("hung", f"it does not start {within}")
            self.problem = Problem("unhealthy", f"{self._unhealthy} ({within})") if self._unhealthy else hung
        elif self._retiring and (self._drained or now >= self._drained_by):
            self._retiring = False
            self.stop(1.0)

    def accept(self) -> None:
        self.admitted = True
        self._order(do="accept")

    def drain(self) -> None:
        self.accepting = self._drained = False
        self._drained_by = time.monotonic() + self.source.spec.drain_seconds
        self._order(do="drain")

    def resume(self) -> None:
        self._retiring = False
        self._order(do="resume")

    def retire(self) -> None:
        self._retiring = True

    def stop(self, seconds: float) -> None:
        self._order(do="stop", seconds=seconds)
        self._kill_at = min(self._kill_at, time.monotonic() + seconds + _SPARE)

    def watch(self) -> None:
        now = time.monotonic()
        if not self.answers:
            if now - self._asked_at > HUNG and not self.problem:
                self.problem = Problem("hung", f"it does not answer for {HUNG:g} s")
        elif now - self._asked_at > _PING:
            self._asked_at, self.answers = now, False
            self._order(do="ping")

    def descriptors(self) -> list[int]:
        return [self._line.fileno()] if self._line else []

    def _order(self, **values: Any) -> None:
        # One that has ended is noticed by `pump`.
        with contextlib.suppress(OSError):
            if self._line:
                self._line.sendall(json.dumps(values).encode() + b"\n")

    def _hear(self) -> None:
        """Take what the worker says. It runs foreign code: what is no line of its own is passed over."""
        if self._line is None:
            return
        try:
            part = self._line.recv(_MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            # It ends; and if it does not, nothing can be said to it any more.
            self._line.close()
            self._line = None
            self._kill_at = min(self._kill_at, time.monotonic() + _SPARE)
            return
        *lines, self._rest = (self._rest + part).split(b"\n")
        self._rest = self._rest[:_MAX_LINE]
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
                said = json.loads(line)
                self._heard(said.get("event"), one_line(said.get("reason")))

    def _heard(self, event: object, reason: str) -> None:
        if event == "proved":
            self.proved = True
        elif event == "accepting":
            self.accepting = True
            self._deadline = float("inf")
        elif event == "drained":
            self._drained = True
        elif event == "pong":
            self.answers = True
        elif event == "unhealthy":
            self._unhealthy = reason
        elif event in ("failed", "refused") and not self.problem:
            self.problem = Problem("refused" if event == "refused" else "crashed", reason)

    def _ended(self, status: int) -> None:
        if not self.problem:
            self.problem = Problem("crashed", f"it ended {how_ended(status)}")
        self._kill()  # what it has started, and left behind
        self.proved = self.accepting = False
        self.gone = True
        self._close()

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _close(self) -> None:
        if self._line:
            self._line.close()
            self._line = None
        self.gone = True
