# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The room a directory takes, as du tells it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.files import usage as usage_module
from ansible_collections.dockfra.core.plugins.module_utils.files.usage import Usage


def test_the_room_is_what_du_says_in_one_step_or_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What other programs of this machine hold open is not the matter here.
    monkeypatch.setattr(usage_module, "_open_files", lambda: iter(()))
    home = tmp_path / "home"
    for number in range(30):
        folder = home / str(number % 5) / "deeper"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(b"x" * number * 1000)
    os.symlink("/usr", home / "link")
    with (home / "hole").open("wb") as file:
        file.truncate(2**40)
    du = subprocess.run(["du", "-s", "--block-size=1", home], check=True, capture_output=True, text=True)
    said = int(du.stdout.split()[0])
    # What takes no block, as an empty file and a short link, has an inode all the same.
    said += 4096 * sum(path.lstat().st_blocks == 0 for path in home.rglob("*"))
    usage = Usage(str(home))
    steps = 0
    while not usage.step(0.0):
        steps += 1
    assert steps > 3
    assert usage.bytes == said
    assert usage.step(10.0)
    assert usage.bytes == said


def test_what_is_taken_shows_before_the_walk_has_ended(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    (tmp_path / "folder").mkdir()
    usage = Usage(str(tmp_path))
    assert not usage.step(0.0)
    assert usage.bytes >= 1_000_000


def test_several_names_of_a_file_take_its_room_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    usage = Usage(str(tmp_path))
    usage.step(1.0)
    once = usage.bytes
    os.link(tmp_path / "file", tmp_path / "again")
    usage.step(1.0)
    assert abs(usage.bytes - once) < 4096


def test_what_is_empty_takes_room_too_finding_s8(tmp_path: Path) -> None:
    """Inodes run out as blocks do."""
    for number in range(500):
        (tmp_path / str(number)).touch()
    usage = Usage(str(tmp_path))
    usage.step(10.0)
    assert usage.bytes >= 500 * 4096


def test_a_removed_file_takes_its_room_as_long_as_it_is_open_finding_s8(tmp_path: Path) -> None:
    usage = Usage(str(tmp_path))
    with (tmp_path / "file").open("wb") as file:
        (tmp_path / "file").unlink()
        file.write(b"x" * 3_000_000)
        file.flush()
        os.fsync(file.fileno())
        usage.step(10.0)
        assert usage.bytes >= 3_000_000
    usage.step(10.0)
    assert usage.bytes < 3_000_000


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_what_cannot_be_looked_into_is_told_finding_s8(tmp_path: Path, mode: int) -> None:
    """By an unprivileged user, as in the containers."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(b"x" * 100_000)
    closed.chmod(mode)
    usage = Usage(str(tmp_path))
    with unprivileged(tmp_path):
        usage.step(10.0)
        assert usage.unseen.startswith(str(closed))
        closed.chmod(0o700)
        usage.step(10.0)
    assert (usage.unseen, usage.bytes >= 100_000) == ("", True)


def test_a_path_longer_than_any_may_be_is_told_finding_s8(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    name = "d" * 250
    for _level in range(20):
        os.mkdir(name, dir_fd=top)
        deeper = os.open(name, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = deeper
    os.close(top)
    usage = Usage(str(tmp_path))
    usage.step(10.0)
    assert usage.unseen.startswith(str(tmp_path))
    subprocess.run(["rm", "-rf", tmp_path / name], check=True)


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """As a user to whom modes apply, who owns all in a directory."""
    if os.geteuid():
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    for parent in folder.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_directory_that_vanishes_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    usage = Usage(str(tmp_path / "gone"))
    (tmp_path / "gone" / "file").write_bytes(b"x" * 100_000)
    usage.step(1.0)
    assert usage.bytes >= 100_000
