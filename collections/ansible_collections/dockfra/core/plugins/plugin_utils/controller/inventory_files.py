# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of variables beside an inventory that belong to nobody in it: Ansible passes them over without a word."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ...module_utils.topology.problem import nearest

# As Ansible's plugin host_group_vars knows them.
_EXTENSIONS = ("", ".yml", ".yaml", ".json")


def problems(sources: Iterable[str], hosts: Collection[str], groups: Collection[str]) -> list[str]:
    """Return a sentence for each file or directory of variables that is for no host or group.

    Args:
        sources: the inventory's files and directories.
        hosts: the hosts of the inventory.
        groups: its groups.
    """
    return [
        f"{os.path.relpath(path)} is for the {kind} '{name}', but the inventory has no such {kind}."
        f"{nearest(name, known)} Rename the file, or remove it."
        for folder in dict.fromkeys(_folder(source) for source in sources)
        for kind, known in (("host", hosts), ("group", groups))
        for path, name in _named(folder / f"{kind}_vars")
        if name not in known
    ]


def _folder(source: str) -> Path:
    path = Path(source)
    return path if path.is_dir() else path.parent


def _named(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and (path.is_dir() or path.suffix in _EXTENSIONS):
            yield path, path.name if path.is_dir() else path.stem
