# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a machine has the memory and the disk that its part of the platform needs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .finding import OK, WARNING, WRONG, Finding, size

# A kernel takes a part of what a machine is sold with.
_NOMINAL = 0.85
_FEW_FILES = 100_000


def memory(
    needed: int, info: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup/memory.max")
) -> Finding:
    """Whether there is enough memory.

    Args:
        needed: bytes.
        info: what the kernel says of the machine.
        cgroup: the limit of the container that the machine is, where it is one.
    """
    values = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines() if ":" in line)
    total = int(values["MemTotal"].split()[0]) * 1024
    with contextlib.suppress(OSError, ValueError):  # there is no limit, or none is meant
        total = min(total, int(cgroup.read_text(encoding="ascii")))
    if total >= needed * _NOMINAL:
        return Finding("memory", OK, f"It has {size(total)} of memory, of which {size(needed)} are needed")
    return Finding(
        "memory",
        WRONG,
        f"It has {size(total)} of memory, and its services need {size(needed)}",
        "Give it more memory, or move services to another Docker host (dockfra_docker_host).",
    )


def disk(path: str, needed: int, purpose: str) -> Finding:
    """Whether there is enough room where a directory is, or is going to be.

    Args:
        path: the directory.
        needed: bytes.
        purpose: what for.
    """
    place = Path(path)
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    if free < needed:
        return Finding(
            "disk",
            WRONG,
            f"{size(free)} are free below {path}, and {purpose} take {size(needed)}",
            "Make room there, or give it a larger disk.",
        )
    # Some file systems have as many as fit.
    if status.f_files and status.f_favail < _FEW_FILES:
        return Finding(
            "disk",
            WARNING,
            f"Only {status.f_favail} more files fit below {path}",
            "Remove what is no longer needed; df -i shows where files are many.",
        )
    return Finding("disk", OK, f"{size(free)} are free below {path}, and {purpose} take {size(needed)}")
