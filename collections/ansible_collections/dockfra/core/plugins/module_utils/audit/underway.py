# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Calls under way, so that one whose process or machine died before its end leaves its line in the audit log too.

A call has one line, which is written at its end. Until then a note lies beside the log, locked by the call's process: a note
that nobody holds is of a call that was lost, and whoever finds it writes the line. Notes are not waited for to be on the
disk, which would cost every call as much as its line does: of a power cut, calls of the last seconds leave none.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..files import atomic
from .lines import MAX_LINE, decode
from .log import AuditLog

# What such a line has for its result.
LOST = "lost"

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextlib.contextmanager
def noted(log: str | os.PathLike[str], entry: Mapping[str, Any]) -> Iterator[None]:
    """Have a note of a call beside a log while it is done.

    Where none can be written the call is done without: the log has room set aside on a full disk, a note has not.

    Args:
        log: the log's file.
        entry: what is known of the call.
    """
    path = f"{_prefix(log)}{os.urandom(8).hex()}"
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    descriptor = -1
    try:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            atomic.write_all(descriptor, json.dumps({**entry, "started": now}).encode())
        yield
    finally:
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.unlink(path)
            os.close(descriptor)


def tell_lost(log: AuditLog) -> int:
    """Write the lines of calls that were lost, each once, and return how many there were.

    Raises:
        AuditError: one could not be written; its note stays.
    """
    count = 0
    for path in _notes(log.path):
        with contextlib.suppress(OSError), _held(path) as descriptor:
            entry = decode(os.pread(descriptor, MAX_LINE, 0))
            # A process that died while it wrote the note had done nothing yet.
            if entry is not None:
                log.append({**entry, "verdict": "unknown", "result": LOST, "duration": None})
                count += 1
            os.unlink(path)
    return count


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    """A note that nobody else holds, open; raises OSError."""
    descriptor = os.open(path, _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(descriptor).st_nlink:  # another has told it meanwhile
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        yield descriptor
    finally:
        os.close(descriptor)


def _notes(log: str) -> list[str]:
    folder, prefix = os.path.split(_prefix(log))
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(prefix))
    except OSError:
        return []


def _prefix(log: str | os.PathLike[str]) -> str:
    folder, name = os.path.split(os.fspath(log))
    return os.path.join(folder, f".{name}.call.")
