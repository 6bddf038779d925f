# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A Docker host whose volumes are directories, for tests of backups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.backups.places import Host


class Places(Host):
    """A Docker host: volumes are directories, and its only container is named, not run.

    Args:
        folder: where the volumes are.
        project: the platform.

    Attributes:
        stopped: the containers that stand still.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self.project = project
        self.folder = folder
        self.stopped: set[str] = set()

    def make(self, volume: str) -> None:
        (self.folder / volume / "_data").mkdir(parents=True, exist_ok=True)

    def write(self, volume: str, name: str, text: str) -> None:
        path = self.folder / volume / "_data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def has(self, volume: str) -> bool:
        return (self.folder / volume).is_dir()

    def directory(self, volume: str, present: bool = True) -> str:
        path = self.folder / volume / "_data"
        assert path.is_dir() or not present
        return str(path)

    def containers(self) -> list[dict[str, str]]:
        return [{"name": f"{self.project}-one", "state": "running"}]

    def stop(self, containers: Iterable[str], timeout: int = 20) -> None:
        self.stopped |= set(containers)

    def start(self, containers: Iterable[str]) -> None:
        self.stopped -= set(containers)

    def read_only_run(
        self, image_of: str, command: Sequence[str], *, user: int, folder: str
    ) -> tuple[int, str]:
        raise AssertionError("there is no repository of git in these volumes")
