# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The links of a service's releases: ``current``, ``previous`` and ``next``, each to the directory of a release beside it.

The bastion moves them, the service follows them. Moved, a link is another one: its `token` tells one request from the next,
also where both ask for the same release.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import NamedTuple

from ..files import atomic
from .ids import checked_id, valid_id

# Where the releases of services are, with a directory for each, and in the same way what services say of them.
ROOT = "/srv/releases"
STATES = "/srv/state"
# In a release's directory: what its archive had.
CONTENT = "content"

CURRENT, PREVIOUS, NEXT = "current", "previous", "next"


class Link(NamedTuple):
    """Where a link leads.

    Attributes:
        release: the id.
        token: tells this link from every other of its name.
    """

    release: str
    token: str


def read(folder: str | os.PathLike[str], name: str) -> Link | None:
    """Return where a link leads; None where there is none, or one that leads to no release's name."""
    path = os.path.join(folder, name)
    try:
        state = os.lstat(path)
        target = os.readlink(path) if stat.S_ISLNK(state.st_mode) else ""
    except OSError:
        return None
    return Link(target, f"{state.st_ino}.{state.st_mtime_ns}") if valid_id(target) else None


def point(folder: str | os.PathLike[str], name: str, release: str) -> Link:
    """Let a link lead to a release in one step, whether there was one or not; returns it.

    The caller holds the service's lock.

    Raises:
        OSError: the link is what it was.
    """
    new = os.path.join(folder, f".{name}.new")
    atomic.remove(new)
    os.symlink(checked_id(release), new)
    os.rename(new, os.path.join(folder, name))
    atomic.sync_directory(folder)
    found = read(folder, name)
    if found is None:
        raise FileNotFoundError(os.path.join(folder, name))
    return found


def remove(folder: str | os.PathLike[str], name: str) -> None:
    """Take a link away, if there is one; raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, name))
    atomic.sync_directory(folder)
