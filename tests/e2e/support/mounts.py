"""Puts a small file system over a directory of a running container, and takes it away. Runs as a program, as root.

``mounts.py full PID PATH PERCENT`` mounts one of a MiB there, in memory, in the mount namespace of a process, and fills it to so many percent.
``mounts.py away PID PATH`` removes it. The disk of the machine is not touched.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CLONE_NEWNS = 0x00020000  # sched.h
_MNT_DETACH = 2  # sys/mount.h
_SIZE = 1024 * 1024
_FILLER = "full"


def _checked(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter(libc: ctypes.CDLL, pid: int) -> None:
    """Be in the mount namespace of a process from now on; nothing can be imported after that."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    _checked(libc.setns(namespace, _CLONE_NEWNS))


def full(libc: ctypes.CDLL, path: str, percent: int) -> None:
    """Mount a file system at a path, and fill it."""
    options = f"size={_SIZE},mode=1777".encode()
    _checked(libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, options))
    descriptor = os.open(os.path.join(path, _FILLER), os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(descriptor, bytes(_SIZE * percent // 100))
    os.close(descriptor)


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    action, pid, path, *percent = sys.argv[1:]
    enter(libc, int(pid))
    if action == "full":
        full(libc, path, int(percent[0]))
    else:
        _checked(libc.umount2(path.encode(), _MNT_DETACH))


if __name__ == "__main__":
    main()
