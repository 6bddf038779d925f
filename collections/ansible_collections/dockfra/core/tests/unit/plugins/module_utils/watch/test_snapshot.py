# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A snapshot is whole, says how old it is, and is none when it is too old or nothing that was written as one."""

from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.watch import snapshot


def test_what_was_written_is_read_with_its_age_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    snapshot.write(path, {"services": [1]})
    found = snapshot.read(path, 5)
    assert found is not None
    assert (found["services"], found["age"]) == ([1], pytest.approx(0, abs=1))
    assert found["time"] == pytest.approx(time.time(), abs=2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["watch.json"]


def test_one_that_is_read_at_once_is_fresh(tmp_path: Path) -> None:
    """A time that is rounded would lie in the future now and then."""
    for _turn in range(2000):
        snapshot.write(tmp_path / "watch.json", {})
        assert snapshot.read(tmp_path / "watch.json", 5) is not None


@pytest.mark.parametrize("change", [-60.0, 60.0])
def test_one_that_is_too_old_or_from_the_future_is_none(tmp_path: Path, change: float) -> None:
    path = tmp_path / "watch.json"
    snapshot.write(path, {})
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "boottime": data["boottime"] + change}))
    assert snapshot.read(path, 15) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "5", '{"boottime": 1}', '{"boottime": "x", "time": 1}', '{"time": 1}', "\xff"]
)
def test_anything_else_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "watch.json"
    path.write_text(content, encoding="latin-1")
    assert snapshot.read(path, 1e12) is None
    assert snapshot.read(tmp_path / "missing", 1e12) is None
    path.write_text('{"boottime": 0, "time": 1' + "0" * 400 + "}")
    assert snapshot.read(path, 1e12) is None


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    data = {"services": ["x" * 1000] * 200}
    snapshot.write(path, data)
    ended = threading.Event()

    def writes() -> None:
        while not ended.is_set():
            snapshot.write(path, data)

    writer = threading.Thread(target=writes)
    writer.start()
    try:
        for _read in range(300):
            found = snapshot.read(path, 60)
            assert found is not None
            assert found["services"] == data["services"]
    finally:
        ended.set()
        writer.join()
