# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The history keeps what it was given, whoever kills its writer, stays within its room, and outlives a damaged file."""

from __future__ import annotations

import random
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import HistoryError
from ansible_collections.dockfra.core.plugins.module_utils.watch import history as module
from ansible_collections.dockfra.core.plugins.module_utils.watch.damping import BACK, WRONG
from ansible_collections.dockfra.core.plugins.module_utils.watch.history import (
    AGE,
    MAX_CHANGES,
    Alert,
    Change,
    History,
    Reader,
    Round,
    Sample,
    damaged_name,
)
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    found = History(path)
    yield found
    found.close()


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir())


def add_often(history: History, rows: list[Change]) -> None:
    for _turn in range(50):
        history.add(rows)


def alert(number: int, kind: str, service: str = "redis") -> Alert:
    return Alert(f"{number:016x}", NOW + number, service, kind, "down", "connection refused")


def test_changes_are_there_for_a_reader_with_the_state_before_them(history: History, path: Path) -> None:
    rows = [
        Change(NOW, "redis", "up", ""),
        Change(NOW + 10, "db", "down", "x"),
        Change(NOW + 20, "redis", "down", "y"),
    ]
    history.add(rows)
    assert Reader(path).changes("redis", NOW + 15, 10) == [rows[0], rows[2]]
    assert Reader(path).changes("redis", NOW, 1) == [rows[2]]
    assert Reader(path).changes("nobody", 0, 10) == []
    assert history.last() == {"redis": rows[2], "db": rows[1]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_samples_say_which_part_of_the_looks_was_good(history: History, path: Path) -> None:
    looks = Round()
    for number in range(10):
        looks.look({"redis": (number != 3, number), "db": (True, 1)})
    history.add([], looks.samples(NOW))
    assert looks.samples(NOW) == []
    assert Reader(path).part_up("redis", NOW - 1) == 0.9
    assert Reader(path).part_up("redis", NOW + 1) is None


def test_parts_say_how_services_were_part_by_part(history: History, path: Path) -> None:
    def sample(service: str, ago: float, up: int, looks: int = 60) -> Sample:
        return Sample(service, NOW - ago, looks, up, 1)

    samples = [
        *(sample("redis", ago, 60) for ago in (0, 300, 600)),
        *(sample("redis", ago, up) for ago, up in ((900, 60), (1200, 30))),
        sample("redis", 2700, 0),
        # Before the first part, and after the last one.
        sample("redis", 3600, 60),
        sample("redis", -1, 0),
        sample("git", 1800, 5, 10),
        sample("gone", 9000, 1),
        sample("stranger", 0, 60),
    ]
    known = [Change(NOW - 9000, name, "up", "") for name in ("redis", "git", "gone")]
    history.add([*known, Change(NOW, "redis", "down", "")], samples)
    reader = Reader(path)
    assert reader.parts(NOW, 900, 4, 10) == {
        "git": (None, 0.5, None, None),
        "redis": (0.0, None, 0.75, 1.0),
    }
    assert reader.parts(NOW, 900, 4, 2) == {"git": (None, 0.5, None, None)}, "gone and git are the first ones"
    assert reader.parts(NOW + 9000, 900, 4, 10) == {}


def test_a_day_of_many_services_is_read_at_once(history: History, path: Path) -> None:
    """As many days of sixty services lie there as there is room for."""
    names = [f"service-{number:02}" for number in range(60)]
    history.add([Change(NOW, name, "up", "") for name in names])
    for day in range(12):
        times = [NOW - day * 86400 - number * 300 for number in range(288)]
        history.add([], [Sample(name, moment, 60, 60, 1) for name in names for moment in times])
    begin = time.process_time()
    found = Reader(path).parts(NOW, 900, 96, 60)
    assert time.process_time() - begin < 0.5
    assert found == dict.fromkeys(names, (1.0,) * 96)


def test_alerts_go_on_where_they_were(history: History, path: Path) -> None:
    for entry in (
        alert(1, WRONG),
        alert(2, BACK),
        alert(3, WRONG),
        alert(4, WRONG, "db"),
        alert(5, BACK, "db"),
    ):
        history.add_alert(entry)
        history.told(entry)
    late = alert(6, WRONG, "git")
    history.add_alert(late)
    history.close()
    again = History(path)
    dampers = again.dampers()
    assert {name: damper.is_open for name, damper in dampers.items()} == {
        "redis": True,
        "db": False,
        "git": True,
    }
    assert {name: damper.told for name, damper in dampers.items()} == {
        "redis": NOW + 3,
        "db": NOW + 4,
        "git": NOW + 6,
    }
    assert again.untold() == [late]
    again.close()


def test_what_is_old_goes_and_what_a_service_is_in_now_stays(history: History, path: Path) -> None:
    history.add([Change(NOW - AGE - 10, "redis", "down", ""), Change(NOW - AGE - 5, "redis", "up", "")])
    history.add([Change(NOW + 10 * 86400, "db", "down", ""), Change(NOW, "db", "up", "")])
    history.add_alert(alert(-5_000_000, BACK))
    history.add_alert(alert(-4_000_000, WRONG))
    history.prune(NOW)
    assert Reader(path).changes("redis", 0, 10) == [Change(NOW - AGE - 5, "redis", "up", "")]
    assert Reader(path).changes("db", 0, 10) == [Change(NOW, "db", "up", "")]
    assert history.dampers()["redis"].is_open


def test_a_service_that_changes_all_the_time_does_not_push_out_others(history: History, path: Path) -> None:
    history.add([Change(NOW, "db", "up", "")])
    history.add([Change(NOW + number, "redis", "down", "") for number in range(MAX_CHANGES + 500)])
    history.prune(NOW)
    found = Reader(path).changes("redis", 0, 10_000)
    assert (len(found), found[-1].time) == (MAX_CHANGES, NOW + MAX_CHANGES + 499)
    assert len(Reader(path).changes("db", 0, 10)) == 1


def test_it_stays_within_its_room_whatever_is_written(history: History, path: Path) -> None:
    detail = "x" * 1500
    most = 0
    for turn in range(60):
        rows = [
            Change(NOW + turn * 300 + number / 10, f"service-{number % 40}", "down", detail)
            for number in range(1000)
        ]
        history.add(rows)
        history.prune(NOW + turn * 300)
        most = max(most, size(path))
    assert 10 * 2**20 < most < module.MAX_FILE + module.MAX_JOURNAL
    assert 2 * module.MAX_FILE + module.MAX_JOURNAL < module.ROOM
    assert history.last()["service-39"].time == NOW + 59 * 300 + 99.9


def test_a_full_file_is_told_and_works_again_when_old_rows_are_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILE", 400 * 1024)
    history = History(path)
    rows = [Change(NOW + number, f"service-{number}", "down", "x" * 1000) for number in range(100)]
    with pytest.raises(HistoryError, match="cannot be used: database or disk is full; what is seen"):
        add_often(history, rows)
    history.close()
    assert size(path) < 2 * 400 * 1024 + module.MAX_JOURNAL
    again = History(path)
    for _turn in range(3):
        again.prune(NOW + 200)
    again.add(rows[:10])
    again.close()


def test_a_reader_that_never_ends_does_not_let_the_journal_grow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_JOURNAL", 512 * 1024)
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    history = History(path)
    history.add([Change(NOW, "redis", "up", "")])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM changes").fetchall()
    rows = [Change(NOW, "db", "down", "x" * 1000) for _number in range(100)]
    with pytest.raises(HistoryError, match="read by somebody who does not end"):
        add_often(history, rows)
    assert size(path) < 2 * 2**20
    reader.close()
    history.add(rows)
    history.close()


def damage_header(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def damage_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = random.Random(1).randbytes(len(data) - 4096)
    path.write_bytes(data)


def damage_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 2 + 100])


def make_newer(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize("damage", [damage_header, damage_middle, damage_end, make_newer])
def test_a_damaged_file_is_set_apart_and_a_new_one_begins(path: Path, damage: object) -> None:
    first = History(path)
    first.add([Change(NOW, f"service-{number}", "up", "x" * 500) for number in range(200)])
    first.prune(NOW)
    first.close()
    assert callable(damage)
    damage(path)
    before = path.read_bytes()
    again = History(path)
    assert again.damage.startswith(f"{path} is damaged (")
    assert again.damage.endswith("; it is history.sqlite.damaged now, and a new one begins")
    assert "\n" not in again.damage
    again.add([Change(NOW, "redis", "up", "")])
    assert set(again.last()) == {"redis"}
    again.close()
    assert damaged_name(path).read_bytes()[4200:] == before[4200:]
    third = History(path)
    assert third.damage == ""
    third.close()


def test_one_damaged_file_is_kept_and_one_that_is_too_large_is_not(path: Path) -> None:
    path.parent.mkdir()
    for content in (b"first" * 100, b"second" * 100):
        path.write_bytes(content)
        History(path).close()
        assert damaged_name(path).read_bytes() == content
    with path.open("wb") as file:
        file.write(b"large")
        file.truncate(module.MAX_FILE + 1)
    History(path).close()
    assert not damaged_name(path).exists()
    assert size(path) < 2**20


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(HistoryError, match=r"The history .* cannot be made: .*; what is seen is not kept"):
        History(tmp_path / "state" / "history.sqlite")
    with pytest.raises(HistoryError, match="cannot be read"):
        Reader(tmp_path / "nowhere" / "history.sqlite").changes("redis", 0, 10)


WRITER = """
    import sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.module_utils.watch.history import Change, History

    history = History(Path(sys.argv[1]))
    print(history.damage, flush=True)
    number = max((change.time for change in history.last().values()), default=0.0)
    while True:
        number += 1
        history.add([Change(number, "redis", "up", "x" * 300), Change(number, "db", "down", "")])
        if number % 7 == 0:
            history.prune(number)
        print(number, flush=True)
"""


def test_a_writer_that_is_killed_loses_nothing_it_has_said(path: Path) -> None:
    """What `add` has returned for is there, and both of its rows or none."""
    said = 0.0
    pick = random.Random(3)
    for _turn in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
            env={"PYTHONPATH": str(COLLECTIONS)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "\n"
        time.sleep(pick.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().split()
        writer.wait()
        said = float(lines[-1]) if lines else said
        last = {name: Reader(path).changes(name, 0, MAX_CHANGES)[-1].time for name in ("redis", "db")}
        assert last["redis"] == last["db"] >= said
    assert said > 20
