# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything a platform has on a Docker host, read on that host: what the engine says, ports, and files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DockfraError
from ..files import tree as file_tree
from . import engine, owner
from .ports import taken, users


def read(
    project: str,
    *,
    names: Sequence[str] = (),
    images: Sequence[str] = (),
    directories: Mapping[str, str] | None = None,
    ports: Sequence[str] = (),
    owner_file: str | None = None,
    sockets: Sequence[str] = (),
    records: Mapping[str, str] | None = None,
    timeout: int = 60,
) -> dict[str, Any]:
    """Return the state of a platform on this host; an engine that does not answer is part of it (``engine_error``).

    Args:
        project: the platform.
        names: containers, networks and volumes that are read whether or not they carry the platform's label.
        images: image references to look up.
        directories: directories whose files are fingerprinted, each with the uid that should own them.
        ports: places on the host (``address:port``) that are about to be published.
        owner_file: where the platform's owner is written down.
        sockets: sockets of engines whose group is to be known; one that is not there has none.
        records: files of containers that are read, by the container's name.
        timeout: seconds to wait for an answer of the engine.
    """
    busy = taken(ports)
    result: dict[str, Any] = {
        "owner": owner.read(owner_file) if owner_file else {},
        "socket_groups": _groups(sockets),
        "files": {path: file_tree.scan(path, int(uid)) for path, uid in (directories or {}).items()},
    }
    try:
        state = engine.read_state(engine.connect(timeout), project, names, images, records or {})
    except DockfraError as error:
        return {**result, "engine_error": str(error), "busy_ports": users(busy)}
    published = state.pop("published")
    named = {place: published.get(place.rpartition(":")[2], "") for place in busy}
    named.update(users(place for place, user in named.items() if not user))
    others = {place: user for place, user in named.items() if user != engine.OWN}
    return {**result, "engine_error": "", **state, "busy_ports": others}


def _groups(paths: Sequence[str]) -> dict[str, int]:
    """The numeric group of each path that is there."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = os.stat(path).st_gid
    return found
