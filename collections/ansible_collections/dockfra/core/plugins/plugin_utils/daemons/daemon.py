# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What every daemon of a container is: one of its kind, alive for all to see, stopped cleanly, and bounded.

The supervisor starts it and starts it anew when it ends. Only one of a name works at a time (one whose supervisor was
killed works on, and the new one waits for its end). After each step its heart beats, for the container's health check. What it
says is one JSON line in the container's log.
"""

from __future__ import annotations

import datetime
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar, cast

from ...module_utils.files import atomic
from ...module_utils.locks import file_lock
from ...module_utils.processes import child

RUN = Path("/run/dockfra")

# Bytes of memory that a daemon may take.
MEMORY = 128 * 1024 * 1024

# Seconds after which a daemon whose heart does not beat counts as dead; the health check has the same.
SILENCE = 20

T = TypeVar("T")


class Daemon:
    """One daemon of this container.

    Args:
        name: under which it is alone, and which the health check tells.
        run: the directory of the container's own state, which ends with the container.
    """

    def __init__(self, name: str, run: Path = RUN) -> None:
        self.name = name
        self.run = run
        self._stopped = False
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def log(self, event: str, **fields: Any) -> None:
        """Write a line to the container's log."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "daemon": self.name, "event": event, **fields})
        os.write(sys.stdout.fileno(), f"{line}\n".encode())

    def serve(
        self,
        step: Callable[[], Iterable[str]],
        period: float,
        readable: int | None = None,
        *,
        children: bool = False,
    ) -> int:
        """Work until the daemon is told to stop, and return its exit status.

        Args:
            step: what it does each time; returns what is wrong, in phrases, which makes the container unhealthy.
            period: seconds between two steps.
            readable: a file descriptor; when there is something to read on it the next step begins at once.
            children: whether the work is done by programs that need more memory than a daemon, and would inherit its limit;
                the container's own holds for all of them.
        """
        if not children:
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.set_wakeup_fd(self._woken)
        (self.run / "hearts").mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = file_lock.open_file(self.run / f"{self.name}.lock")
        while not file_lock.take(lock, 0.2):
            if self._stopped:
                return 0
        self.log("started")
        while not self._stopped:
            self.beat(step())
            child.reap()
            wanted = [self._wake] + ([] if readable is None else [readable])
            select.select(wanted, [], [], period)
        self.log("stopped")
        return 0

    def beat(self, problems: Iterable[str] = ()) -> None:
        """Show that the daemon lives, and what is wrong."""
        told = "; ".join(problems).replace("\n", " ")
        beat = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        heart = self.run / "hearts" / self.name
        new = heart.with_name(f".{self.name}.new")
        # In memory, so nothing has to reach a disk.
        new.write_text(f"{beat}\n{told}\n", encoding="utf-8")
        new.rename(heart)

    def stop(self) -> None:
        """Let this step be the last one."""
        self._stopped = True

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()


def ailment(name: str, run: Path = RUN) -> str:
    """Return what is wrong with a daemon of this container, as its heart says; nothing where all is well, or there is no such daemon."""
    try:
        beat, _end, problem = (run / "hearts" / name).read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return ""
    age = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - int(beat or 0)
    return f"the daemon {name} has said nothing for {age} s" if age > SILENCE else problem.strip()


class Watched(Generic[T]):
    """What is read from a file, and read again when the file has changed.

    Args:
        path: the file.
        load: makes something of its content.
    """

    def __init__(self, path: Path, load: Callable[[bytes], T]) -> None:
        self._path = path
        self._load = load
        self._state: tuple[int, ...] = ()
        self._value: T | None = None

    def get(self) -> T:
        """Return what the file says now.

        Raises:
            OSError: it cannot be read, and could not be before.
            ValueError: what it says is wrong, and nothing right was known before.
        """
        try:
            found = self._path.stat()
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if state != self._state:
                self._value = self._load(self._path.read_bytes())
                self._state = state
        except (OSError, ValueError):
            # A file that is being replaced or wrong changes nothing.
            if self._value is None:
                raise
        return cast(T, self._value)  # what a file is read as is never None


def save(path: Path, data: Any) -> None:
    """Keep data in the container's own state for a process that goes on after this one; raises OSError."""
    atomic.replace(path, json.dumps(data).encode(), mode=0o600)


def load(path: Path) -> Any:
    """Return what `save` kept, None when there is nothing that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
