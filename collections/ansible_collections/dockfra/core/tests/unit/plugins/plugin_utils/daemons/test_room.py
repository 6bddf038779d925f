# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The room of what a container may write: what cannot be seen is told, and no mode leaves a directory out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import room
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.room import Room

LIMIT = 1 << 20


class Daemon:
    def __init__(self, run: Path) -> None:
        self.run = run

    def log(self, event: str, **fields: Any) -> None:
        pass


class Limits:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def reached(self, _who: str, limit: str, verdict: str = "denied") -> None:
        self.told.append((verdict, limit))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Room, Limits, Path]:
    # What it would end is whatever runs these tests.
    monkeypatch.setattr(room, "end_all", lambda _me: None)
    home, limits = tmp_path / "home", Limits()
    home.mkdir()
    return Room(Daemon(tmp_path), limits, "developer"), limits, home  # type: ignore[arg-type]


def looked(made: tuple[Room, Limits, Path]) -> list[str]:
    return list(made[0].step({str(made[2]): LIMIT}))


def test_a_full_directory_closes_the_container_until_there_is_room(
    made: tuple[Room, Limits, Path], tmp_path: Path
) -> None:
    (made[2] / "large").write_bytes(b"x" * 2 * LIMIT)
    assert "remove files with docker exec" in looked(made)[0]
    assert (tmp_path / "closed").exists()
    (made[2] / "large").unlink()
    assert looked(made) == []
    assert not (tmp_path / "closed").exists()


def test_a_home_that_its_owner_has_made_read_only_counts_finding_s8(
    made: tuple[Room, Limits, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (made[2] / "large").write_bytes(b"x" * 2 * LIMIT)
    made[2].chmod(0o500)
    # Root may write everywhere; the daemon is its container's user.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert looked(made)
    assert (tmp_path / "closed").exists()


def test_what_cannot_be_seen_is_told_as_long_as_it_is_so_finding_s8(
    made: tuple[Room, Limits, Path], tmp_path: Path
) -> None:
    """A path that is too long for anybody."""
    top = os.open(made[2], os.O_RDONLY)
    for _level in range(20):
        os.mkdir("d" * 250, dir_fd=top)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = deeper
    os.close(top)
    for _time in range(2):
        (problem,) = looked(made)
        assert "cannot be seen" in problem
    assert not (tmp_path / "closed").exists()
    assert ("warned", f"room in {made[2]}: not all of it can be looked into") in made[1].told
    os.rename(made[2] / ("d" * 250), tmp_path / "elsewhere")
    assert looked(made) == []
