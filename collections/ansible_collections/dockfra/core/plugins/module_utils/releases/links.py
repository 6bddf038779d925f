# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The links of a service's releases: ``current``, ``previous`` and ``next``, each to the directory of a release beside it.

``next`` may lead to what the service's image brought as well, which has no directory here. The bastion moves them, the service follows
them. Moved, a link is another one: its `token` tells one request from the next, also where both ask for the same release.
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

# Where a link leads that asks for what the image brought; no release has such an id.
_IMAGE = "image"


class Link(NamedTuple):
    """Where a link leads.

    Attributes:
        release: the id; empty for what the image brought.
        token: tells this link from every other of its name.
    """

    release: str
    token: str


def read(folder: str | os.PathLike[str], name: str) -> Link | None:
    """Return where a link leads; None where there is none, or one that leads to nothing that could serve."""
    path = os.path.join(folder, name)
    try:
        state = os.lstat(path)
        target = os.readlink(path) if stat.S_ISLNK(state.st_mode) else ""
    except OSError:
        return None
    if target != _IMAGE and not valid_id(target):
        return None
    return Link("" if target == _IMAGE else target, f"{state.st_ino}.{state.st_mtime_ns}")


def point(folder: str | os.PathLike[str], name: str, release: str) -> Link:
    """Let a link lead to a release, or to what the image brought, in one step, whether there was one or not; returns it.

    The caller holds the service's lock.

    Raises:
        OSError: the link is what it was.
    """
    new = os.path.join(folder, f".{name}.new")
    atomic.remove(new)
    os.symlink(checked_id(release) if release else _IMAGE, new)
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
