# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service says of its releases is read bounded, checked, and never trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseDamagedError
from ansible_collections.dockfra.core.plugins.module_utils.releases import state
from ansible_collections.dockfra.core.plugins.module_utils.releases.state import State, Try
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

ONE, TWO = "20261125T131500Z-0123456789ab", "20261125T131501Z-0123456789ab"


def test_what_was_said_is_read(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    said = State(ONE, Try(TWO, "12.34", "refused", "schema 3", 5.0), {TWO: 7.0})
    state.write(tmp_path, said)
    found = state.read(tmp_path)
    assert found is not None
    assert (found.running, found.tried, found.crashed) == (said.running, said.tried, said.crashed)
    assert (tmp_path / state.NAME).stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == [state.NAME]


def test_what_a_release_has_filled_its_room_with_goes_before_a_report(tmp_path: Path) -> None:
    """In a file system of its own, of the size that the platform's have, as the service's user."""
    program = f"""
import os, sys
sys.path.insert(0, "{COLLECTIONS}")
from ansible_collections.dockfra.core.plugins.module_utils.releases import state
folder = sys.argv[1]
state.write(folder, state.State("{ONE}"))
os.mkdir(folder + "/d")
try:
    with open(folder + "/d/full", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
except OSError:
    pass
state.write(folder, state.State("{TWO}"))
print(state.read(folder).running, *os.listdir(folder))
"""
    mounted = f"mount -t tmpfs -o size=1m,nr_inodes=64 tmpfs {tmp_path} && exec {sys.executable} -c '{program}' {tmp_path}"
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip("this machine lets nobody have a mount of his own")
    assert done.stdout.split() == [TWO, state.NAME], done.stderr


def test_marks_of_crashes_are_limited_to_the_latest() -> None:
    said = State()
    for number in range(state.MAX_CRASHED + 5):
        said = said.with_crash(f"20261125T1315{number:02}Z-0123456789ab")
    assert len(said.crashed) == state.MAX_CRASHED
    assert "20261125T131500Z-0123456789ab" not in said.crashed
    assert said.without_crash("20261125T131524Z-0123456789ab").crashed.keys() < said.crashed.keys()


GOOD = {"running": ONE, "tried": None, "crashed": {}, "time": 1}
TRIED = {"release": TWO, "token": "1.2", "result": "ready", "reason": "", "time": 1}


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {**GOOD, "running": "../../etc"},
        {**GOOD, "running": None},
        {**GOOD, "crashed": {"/etc": 1}},
        {**GOOD, "crashed": {ONE: "soon"}},
        {**GOOD, "tried": 5},
        {**GOOD, "tried": {**TRIED, "release": "next"}},
        {**GOOD, "tried": {**TRIED, "result": "great"}},
        {**GOOD, "tried": {**TRIED, "token": "/etc/passwd"}},
        {**GOOD, "tried": {**TRIED, "reason": 5}},
        {**GOOD, "time": [1]},
        {**GOOD, "time": 10**400},
        {**GOOD, "time": float("nan")},
        {**GOOD, "crashed": {ONE: 10**400}},
        {**GOOD, "crashed": {ONE: float("inf")}},
        {**GOOD, "tried": {**TRIED, "time": 10**400}},
        {**GOOD, "tried": {**TRIED, "time": float("nan")}},
    ],
)
def test_what_says_something_else_is_damage(tmp_path: Path, values: object) -> None:
    (tmp_path / state.NAME).write_text(json.dumps(values))
    with pytest.raises(ReleaseDamagedError):
        state.read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'"' + b"x" * 20_000_000, b"\xff"])
def test_what_is_no_data_is_damage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / state.NAME).write_bytes(data)
    with pytest.raises(ReleaseDamagedError):
        state.read(tmp_path)


def test_it_is_no_way_to_other_files(tmp_path: Path) -> None:
    (tmp_path / state.NAME).symlink_to("/etc/passwd")
    with pytest.raises(ReleaseDamagedError, match="cannot be read"):
        state.read(tmp_path)
    (tmp_path / state.NAME).unlink()
    os.mkfifo(tmp_path / state.NAME)
    with pytest.raises(ReleaseDamagedError):
        state.read(tmp_path)


def test_a_reason_is_one_short_line(tmp_path: Path) -> None:
    reason = "a\nb\x1b[31m" + "x" * 5000
    (tmp_path / state.NAME).write_text(json.dumps({**GOOD, "tried": {**TRIED, "reason": reason}}))
    found = state.read(tmp_path)
    assert found is not None
    assert found.tried is not None
    assert found.tried.reason.startswith("a b [31mx")
    assert len(found.tried.reason) == state.MAX_REASON
