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

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """From now on, descendants whose parent ends become children of this process, and stay to be found."""
    import ctypes  # most commands start nothing

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bind() -> None:
    """From now on, this process gets SIGTERM when its parent ends, however that ends."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def descendants(root: int) -> set[int]:
    """Return the processes that descend from one and are still running."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _status(entry)) is not None:
            children.setdefault(found[1], []).append(int(entry))
    below: set[int] = set()
    waiting = [root]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - below
        below |= new
        waiting += new
    return below


def end(root: int | None = None) -> None:
    """End all that descends from a process, and unless that is this one the process itself.

    They get SIGTERM, and what is left after `GRACE` seconds SIGKILL.
    """
    if root is None and not _has_children():
        return
    root = os.getpid() if root is None else root
    known = _stopped(root)
    begin = time.monotonic()
    for process in known:
        _send(process, signal.SIGTERM)
        _send(process, signal.SIGCONT)
    while time.monotonic() - begin < GRACE + PATIENCE:
        known = {process for process in known | _below({root, *known}) if _state(process) is not None}
        if not known:
            return
        if time.monotonic() - begin > GRACE:
            for process in known:
                _send(process, signal.SIGKILL)
        time.sleep(0.01)


def _stopped(root: int) -> set[int]:
    """Stop a process and all that descends from it: what stands still starts nothing, and so hides nothing."""
    known: set[int] = set()
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        # Only of what stood still before it was looked for is nothing new to come.
        still = all(_state(process) in (None, "T", "t") for process in known)
        new = _below({root}) - known
        if not new and still:
            break
        for process in new:
            _send(process, signal.SIGSTOP)
        known |= new
    return known


def _below(roots: set[int]) -> set[int]:
    """Some processes and all that descends from them, without this one."""
    found = set(roots)
    for process in roots:
        found |= descendants(process)
    return found - {os.getpid()}


def _send(process: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.kill(process, number)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _state(process: int) -> str | None:
    """The state of a process, see proc(5); None for one that has ended."""
    found = _status(str(process))
    return found[0] if found else None


def _status(process: str) -> tuple[str, int] | None:
    """State and parent of a process; None for one that has ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            # The name, in parentheses, may hold anything.
            state, parent = file.read(1024).rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in ("Z", "X") else (state, int(parent))
