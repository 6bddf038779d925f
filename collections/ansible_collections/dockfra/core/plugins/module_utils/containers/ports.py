# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Find out whether TCP ports of this machine are free, and who uses those that are not (Linux)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

_LISTEN = "0A"  # state column of /proc/net/tcp, see proc(5)


def taken(places: Iterable[str]) -> list[str]:
    """Return the places (``address:port``) where nothing new can listen."""
    return [place for place in places if not _free(place)]


def users(places: Iterable[str]) -> dict[str, str]:
    """Return who listens at each of the places: a process name with its pid, or ``another process`` where it is somebody else's.

    Looks at the open files of all processes, so it is for places that nobody else accounts for.
    """
    return {place: _user(int(place.rpartition(":")[2])) for place in places}


def _free(place: str) -> bool:
    address, _separator, port = place.rpartition(":")
    address = address.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As Docker does: the same port of IPv4 is another place.
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, int(port)))
        except OSError as error:
            # A low port that only root may bind is not taken: Docker binds it.
            return error.errno != errno.EADDRINUSE
    return True


def _user(port: int) -> str:
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(descriptor) in inodes for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return "another process"


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
