# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes that descend from this one, so that none of them goes on when it is ended."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

# Seconds that a process has to end by itself, and seconds after which nobody waits for what the kernel does not end.
GRACE = 2.0
PATIENCE = 5.0

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def adopt() -> None:
    """From now on, descendants whose parent ends become children of this process, and stay to be found."""
    import ctypes  # most commands start nothing

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> set[int]:
    """Return the processes that descend from one and are still running."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def end(root: int | None = None) -> None:
    """End all that descends from a process, and unless that is this one the process itself.

    They get SIGTERM, and what is left after `GRACE` seconds SIGKILL.
    """
    if root is None and not _has_children():
        return
    root = os.getpid() if root is None else root
    known = {root} - {os.getpid()}
    asked: set[int] = set()
    begin = time.monotonic()
    while time.monotonic() - begin < GRACE + PATIENCE:
        for process in {root, *known}:
            known |= descendants(process)
        known = {process for process in known if _parent(str(process)) is not None}
        if not known:
            return
        late = time.monotonic() - begin > GRACE
        for process in known if late else known - asked:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= known
        time.sleep(0.01)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _parent(process: str) -> int | None:
    """The parent of a process; None for one that has ended."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            state, parent = file.read(1024).rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else int(parent)
