# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A log over several files: the chain goes on through all of them, whatever a killed writer or a full disk leaves."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import files, rotation
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import Head, read, verify
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog

# Some four lines a file, and two full files.
LIMIT, KEEP = 500, 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "git.jsonl"


@pytest.fixture
def log(path: Path) -> AuditLog:
    return AuditLog(path, limit=LIMIT, keep=KEEP)


def fill(log: AuditLog, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        log.append({"verb": "x", "number": number})


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir() if not found.name.startswith("."))


def numbers(path: Path) -> list[int]:
    return [entry["number"] for entry in read(path)]


def test_one_caller_cannot_make_a_log_grow_without_end_finding_s8(log: AuditLog, path: Path) -> None:
    fill(log, 100)
    assert len(names(path)) == KEEP + 1
    assert sum(found.stat().st_size for found in path.parent.iterdir()) < (KEEP + 2) * LIMIT
    chain = verify(path)
    assert (chain.problems, chain.torn, chain.unfinished) == ((), (), False)
    assert numbers(path) == list(range(100))[-len(numbers(path)) :]
    # Lines are counted from the first there ever was, those that begin a file too.
    generation = files.log_files(path)[-1].generation
    assert chain.lines == 100 + generation - 1


def test_every_entry_is_there_until_the_oldest_file_is_dropped(log: AuditLog, path: Path) -> None:
    seen: Head | None = None
    for number in range(30):
        fill(log, 1, number)
        chain = verify(path, seen)
        assert chain.problems == ()
        assert verify(path, seen, resume=True) == chain
        seen = chain.head
        kept = numbers(path)
        assert kept == list(range(number + 1 - len(kept), number + 1))


@pytest.mark.parametrize("removed", [0, 1])
def test_a_full_file_that_is_missing_is_told(log: AuditLog, path: Path, removed: int) -> None:
    fill(log, 10)
    assert len(names(path)) == 3
    os.unlink(files.log_files(path)[removed].path)
    assert "1 of its files that grew full before are missing" in verify(path).problems


def test_tampering_in_a_full_file_is_told(log: AuditLog, path: Path) -> None:
    fill(log, 10)
    full = Path(files.log_files(path)[0].path)
    full.write_bytes(full.read_bytes().replace(b'"number": 1', b'"number": 7'))
    assert verify(path).problems == ("line 3 does not follow line 2",)


def test_the_last_line_of_a_full_file_is_part_of_the_chain(log: AuditLog, path: Path) -> None:
    fill(log, 10)
    full = Path(files.log_files(path)[1].path)
    full.write_bytes(b"".join(full.read_bytes().splitlines(keepends=True)[:-1]))
    assert len(verify(path).problems) == 1


def test_a_file_that_was_written_anew_with_a_beginning_of_its_own_is_told(log: AuditLog, path: Path) -> None:
    fill(log, 10)
    head = verify(path).head
    for file in files.log_files(path):
        os.unlink(file.path)
    fill(log, 10, 50)
    assert verify(path).problems == ()
    assert verify(path, head, resume=True).problems


def test_half_a_line_at_the_end_of_a_full_file_is_chained_to(log: AuditLog, path: Path) -> None:
    fill(log, 3)
    path.write_bytes(path.read_bytes() + b'{"time": "2026' + b"0" * LIMIT)
    fill(log, 2, 3)
    chain = verify(path)
    assert (chain.problems, chain.torn, chain.unfinished) == ((), (4,), False)
    assert numbers(path) == list(range(5))


@pytest.mark.parametrize("call", ["link", "truncate", "open", "fsync", "rename", "unlink"])
def test_a_writer_that_is_killed_while_it_rotates_leaves_a_whole_log(
    log: AuditLog, path: Path, call: str
) -> None:
    """Before each step, as a process of its own that kills itself there."""
    fill(log, 11)
    while path.stat().st_size < LIMIT:
        fill(log, 1, len(numbers(path)))
    before = numbers(path)
    child = os.fork()
    if not child:
        real = getattr(rotation.os, call)

        def killed(*arguments: object, **options: object) -> object:
            if call != "open" or str(arguments[0]).endswith(".new"):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(rotation.os, call, killed)
        log.append({"verb": "x", "number": -1})
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert verify(path).problems == ()
    assert numbers(path)[-3:] == before[-3:]
    log.append({"verb": "x", "number": 1000})
    chain = verify(path)
    assert (chain.problems, chain.torn) == ((), ())
    assert numbers(path)[-3:] == [*before[-2:], 1000]
    # One that was to be dropped goes with the next rotation.
    assert len(names(path)) <= KEEP + 2
    fill(log, 10)
    assert len(names(path)) == KEEP + 1


def test_what_cannot_be_rotated_grows_on(log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rotation.os, "link", refused)
    fill(log, 20)
    assert names(path) == ["git.jsonl"]
    monkeypatch.undo()
    fill(log, 1, 20)
    assert numbers(path) == list(range(21))
    assert verify(path).problems == ()


def test_the_room_of_a_file_is_set_aside_when_it_begins_finding_s8(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "x.jsonl")
    log.append({"verb": "x"})
    with (tmp_path / "x.jsonl").open("rb") as file:
        if not rotation.reserved(file.fileno()):
            pytest.skip("this file system sets nothing aside")
        assert rotation.reserved(file.fileno()) >= rotation.LIMIT - 4096
    assert (tmp_path / "x.jsonl").stat().st_size < 4096


def test_what_was_set_aside_is_enough_on_a_full_disk_finding_s8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path / "x.jsonl")
    log.append({"verb": "x"})
    with (tmp_path / "x.jsonl").open("rb") as file:
        if not rotation.reserved(file.fileno()):
            pytest.skip("this file system sets nothing aside")
    full = os.statvfs(tmp_path)
    empty = os.statvfs_result((*full[:3], 0, 0, *full[5:]))
    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: empty)
    log.check()
    log.append({"verb": "y"})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"[1]",
        b'{"log": 5}',
        b'{"log": {"generation": "x", "oldest": 1, "lines": 2}}',
        b'{"log": {"generation": 1e999, "oldest": 1, "lines": 2}}',
    ],
)
def test_a_first_line_that_says_nothing_begins_a_log(line: bytes) -> None:
    assert files.beginning(line) == files.Beginning(1, 1, 0)


@pytest.mark.parametrize(
    "damage", [lambda _text: b"", lambda text: text[:-40] + b"\n", lambda text: text * 2]
)
def test_a_remembered_point_that_does_not_stand_makes_all_be_read(
    log: AuditLog, path: Path, damage: Callable[[bytes], bytes]
) -> None:
    fill(log, 3)
    head = verify(path).head
    path.write_bytes(damage(path.read_bytes()))
    chain = verify(path, head, resume=True)
    assert chain.problems
    assert chain == verify(path, head)
