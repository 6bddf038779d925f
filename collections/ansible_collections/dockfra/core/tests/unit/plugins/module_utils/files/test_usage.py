# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The room a directory takes, as du tells it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.files.usage import Usage


def test_the_room_is_what_du_says_in_one_step_or_many(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(30):
        folder = home / str(number % 5) / "deeper"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(b"x" * number * 1000)
    os.symlink("/usr", home / "link")
    with (home / "hole").open("wb") as file:
        file.truncate(2**40)
    du = subprocess.run(["du", "-s", "--block-size=1", home], check=True, capture_output=True, text=True)
    said = int(du.stdout.split()[0]) - home.stat().st_blocks * 512
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


def test_a_directory_that_vanishes_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    usage = Usage(str(tmp_path / "gone"))
    (tmp_path / "gone" / "file").write_bytes(b"x" * 100_000)
    usage.step(1.0)
    assert usage.bytes >= 100_000
