# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An exclusive lock on a file: the one home of waiting for another process (flock, Linux).

The kernel frees it when its holder ends, however that happens. Who can open a file can lock it, so a lock belongs into
a file or directory that only those can open who share the work.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from ..errors import LockBusyError

# Seconds between two looks, at most.
_PAUSE = 0.01


def take(descriptor: int, timeout: float = 0.0) -> bool:
    """Lock an open file or directory; returns whether that was possible within ``timeout`` seconds (0 looks once)."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            # At random, so that nobody always comes too late.
            time.sleep(_PAUSE * (1 + os.urandom(1)[0]) / 256)
        else:
            return True


def open_file(path: str | os.PathLike[str], mode: int = 0o600, dir_fd: int | None = None) -> int:
    """Open a file to lock and return its descriptor; one that is missing is made.

    What root makes belongs to the owner of the directory, whose processes lock it too.

    Args:
        path: the file, relative to ``dir_fd`` where that is given.
        mode: permission bits of a new file.
        dir_fd: an open directory.

    Raises:
        OSError: the system refuses, or there is a link, a pipe or something else in the file's place.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        # Without O_CREAT: with fs.protected_regular the kernel refuses it for another user's file, to root as well.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, flags, dir_fd=dir_fd)
            break
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=dir_fd)
            _give_to_owner(path, descriptor, dir_fd)
            break
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", os.fspath(path))
    return descriptor


@contextlib.contextmanager
def held(
    path: str | os.PathLike[str], timeout: float, mode: int = 0o600, dir_fd: int | None = None
) -> Iterator[int]:
    """Hold the lock of a file (see `open_file`) and yield its descriptor.

    Raises:
        LockBusyError: somebody else holds it for longer than ``timeout`` seconds.
        OSError: the file cannot be opened or made.
    """
    deadline = time.monotonic() + timeout
    while True:
        descriptor = open_file(path, mode, dir_fd)
        try:
            if not take(descriptor, max(0.0, deadline - time.monotonic())):
                raise LockBusyError(
                    f"{os.fspath(path)} is locked by somebody else for more than {timeout:g} s; try again."
                )
            if _is_at(path, descriptor, dir_fd):
                yield descriptor
                return
            # Somebody has removed the file meanwhile, and others use a new one.
        finally:
            os.close(descriptor)


def _is_at(path: str | os.PathLike[str], descriptor: int, dir_fd: int | None) -> bool:
    try:
        return os.path.samestat(os.stat(path, dir_fd=dir_fd, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _give_to_owner(path: str | os.PathLike[str], descriptor: int, dir_fd: int | None) -> None:
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path) or ".", dir_fd=dir_fd)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
