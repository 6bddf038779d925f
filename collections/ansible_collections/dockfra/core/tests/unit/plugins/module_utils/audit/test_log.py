# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log's chain: what it proves, and what happens to it when writers are killed and disks are full."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import log as audit
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import (
    MAX_PROBLEMS,
    Chain,
    Head,
    read,
    verify,
)
from ansible_collections.dockfra.core.plugins.module_utils.audit.lines import MAX_LINE, START
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.errors import AuditError
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def log(path: Path) -> AuditLog:
    """A log of three lines."""
    log = AuditLog(path, lambda: NOON)
    for number in range(3):
        log.append({"number": number})
    return log


def program(source: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that uses the library."""
    command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


# The chain -----------------------------------------------------------------------------------------------------------


def test_each_line_holds_the_time_the_entry_and_the_hash_of_the_line_before(
    log: AuditLog, path: Path
) -> None:
    entries = list(read(path))
    assert [entry["number"] for entry in entries] == [0, 1, 2]
    assert entries[0] == {"time": "2026-01-02T12:00:00.000000Z", "number": 0, "previous": START}
    chain = verify(path)
    assert (chain.lines, chain.problems, chain.torn, chain.unfinished) == (3, (), (), False)
    log.append({"number": 3})
    assert json.loads(lines(path)[3])["previous"] == chain.head.hash


def test_what_is_written_may_be_any_text_and_stays_one_line(log: AuditLog, path: Path) -> None:
    log.append({"text": 'a\n"b"\x00\u2028ä\N{PILE OF POO}', "time": "mine", "previous": "mine"})
    assert len(lines(path)) == 4
    assert verify(path).problems == ()
    *_others, entry = read(path)
    assert entry["text"] == 'a\n"b"\x00\u2028ä\N{PILE OF POO}'
    assert entry["time"].startswith("2026-01-02T12")


def test_the_longest_line_is_followed_and_a_longer_one_is_refused(log: AuditLog, path: Path) -> None:
    room = MAX_LINE - (len(lines(path)[2]) - len('"number": 2')) - len('"text": ""')
    log.append({"text": "x" * room})
    log.append({"number": 4})
    assert len(lines(path)[3]) == MAX_LINE
    assert verify(path).problems == ()
    before = path.read_bytes()
    with pytest.raises(AuditError, match="too long"):
        log.append({"text": "x" * (room + 1)})
    assert path.read_bytes() == before


def change(line: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda found: [
        text.replace(b'"number": ', b'"number": 1') if number == line else text
        for number, text in enumerate(found, start=1)
    ]


@pytest.mark.parametrize(
    ("damage", "problems"),
    [
        (change(1), ["line 2 does not follow line 1"]),
        (change(2), ["line 3 does not follow line 2"]),
        (lambda found: found[1:], ["line 1 is not the first"]),
        (lambda found: [found[0], found[2]], ["line 2 does not follow line 1"]),
        (
            lambda found: [found[1], found[0], found[2]],
            ["line 1 is not the first", "line 2 does not follow line 1", "line 3 does not follow line 2"],
        ),
        (lambda found: [*found[:2], found[1], found[2]], ["line 3 does not follow line 2"]),
        (
            lambda found: [found[0], b"nonsense", *found[1:]],
            ["line 2 is no entry", "line 3 does not follow line 2"],
        ),
        (
            lambda found: [found[0], b"", *found[1:]],
            ["line 2 is no entry", "line 3 does not follow line 2"],
        ),
        (lambda found: [*found, b'{"time": "x", "number": 3}'], ["line 4 is no entry"]),
        (lambda found: [*found, b"[" * 60_000], ["line 4 is no entry"]),
        (lambda found: [*found, b"\xff\xfe"], ["line 4 is no entry"]),
        (lambda found: [*found, b'{"time": "x", "previous": 5}'], ["line 4 does not follow line 3"]),
    ],
)
def test_each_kind_of_tampering_breaks_the_chain_where_it_was(
    log: AuditLog, path: Path, damage: Callable[[list[bytes]], list[bytes]], problems: list[str]
) -> None:
    path.write_bytes(b"\n".join(damage(lines(path))) + b"\n")
    assert list(verify(path).problems) == problems


@pytest.mark.parametrize(
    ("line", "found"),
    [(b"x\n", "line {} is no entry"), (b'{"previous": 1}\n', "line {} does not follow line {}")],
)
def test_of_many_problems_the_first_are_told(path: Path, line: bytes, found: str) -> None:
    path.write_bytes(line * 500_000)
    began = time.monotonic()
    chain = verify(path)
    assert time.monotonic() - began < 1
    assert len(chain.problems) == MAX_PROBLEMS + 1
    assert chain.problems[1:3] == (found.format(2, 1), found.format(3, 2))
    assert chain.problems[-1] == "there are too many such lines; line 21 and what follows were not read"
    assert not chain.unfinished


def test_many_lines_that_were_cut_off_are_a_problem(path: Path) -> None:
    path.write_bytes(b"{\n" * 500_000)
    chain = verify(path)
    assert len(chain.torn) == MAX_PROBLEMS + 1
    assert chain.problems == ("there are too many such lines; line 22 and what follows were not read",)


@pytest.mark.parametrize("size", [MAX_LINE + 1, 4 * 2**30])
def test_a_line_that_is_too_long_is_the_last_one_read(log: AuditLog, path: Path, size: int) -> None:
    """It costs its readers no time, also when it is a hole of gigabytes."""
    head = verify(path).head
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
    began = time.monotonic()
    chain = verify(path, head)
    assert time.monotonic() - began < 1
    assert (chain.head, chain.unfinished) == (head, False)
    assert chain.problems == ("line 4 is longer than any that is written; it and what follows were not read",)


def test_what_follows_tampering_at_the_end_does_not_hide_it(log: AuditLog, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"time": "x", "number": 3}\n')
    log.append({"number": 4})
    assert verify(path).problems == ("line 4 is no entry",)


def test_a_log_that_became_shorter_is_known_by_an_earlier_head(log: AuditLog, path: Path) -> None:
    head = verify(path).head
    assert head.lines == 3
    log.append({"number": 3})
    assert verify(path, head).problems == ()
    path.write_bytes(b"\n".join(lines(path)[:2]) + b"\n")
    assert verify(path).problems == ()
    assert verify(path, head).problems == ("it ends at line 2, and had 3 lines when it was last verified",)
    path.write_bytes(b"")
    assert verify(path, head).problems == ("it ends at line 0, and had 3 lines when it was last verified",)


def test_a_log_written_anew_is_known_by_an_earlier_head(log: AuditLog, path: Path) -> None:
    head = verify(path).head
    path.unlink()
    for number in range(5):
        log.append({"number": number * 2})
    assert verify(path).problems == ()
    assert verify(path, head).problems == ("line 3 was another when the log was last verified",)


def test_an_empty_log_is_a_chain(path: Path) -> None:
    AuditLog(path).check()
    assert verify(path) == Chain(0, Head(0, START), ())


# Half lines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 12, 60, -1])
def test_after_half_a_line_the_log_goes_on_and_tells(log: AuditLog, path: Path, size: int) -> None:
    """As a writer leaves it that is killed between two writes."""
    text = path.read_bytes()
    start = text.rindex(b"\n", 0, len(text) - 1) + 1
    path.write_bytes(text[:start] + text[start:-1][:size])
    chain = verify(path)
    assert chain.unfinished
    assert chain.head.lines == 2
    log.append({"number": 3})
    after = verify(path, chain.head)
    assert (after.lines, after.problems, after.torn, after.unfinished) == (4, (), (3,), False)
    assert [entry["number"] for entry in read(path)] == [0, 1, 3]


def test_a_line_that_lacks_only_its_end_counts(log: AuditLog, path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    log.append({"number": 3})
    assert verify(path) == Chain(4, verify(path).head, ())


def test_zeros_after_a_power_cut_are_half_a_line(log: AuditLog, path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(100))
    log.append({"number": 3})
    assert (verify(path).problems, verify(path).torn) == ((), (4,))


def test_half_a_line_that_was_changed_afterwards_breaks_the_chain(log: AuditLog, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"time": "2026-01-0')
    log.append({"number": 3})
    path.write_bytes(path.read_bytes().replace(b'{"time": "2026-01-0\n', b'{"time": "2026-01\n'))
    assert verify(path).problems == ("line 5 does not follow line 4",)


def test_a_writer_killed_in_the_middle_of_a_line_leaves_a_log_that_goes_on(log: AuditLog, path: Path) -> None:
    """A real process, killed with half of its line on the disk and the lock in its hands."""
    source = """
        import os, signal, sys
        from ansible_collections.dockfra.core.plugins.module_utils.audit import log as audit

        real = os.write
        def half(descriptor, data):
            real(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        audit.os.write = half
        audit.AuditLog(sys.argv[1]).append({"number": "killed"})
    """
    killed = program(source, str(path))
    assert killed.wait() == -signal.SIGKILL, killed.stderr and killed.stderr.read()
    killed.communicate()
    assert verify(path).unfinished
    log.append({"number": 3})
    chain = verify(path)
    assert (chain.lines, chain.problems, chain.torn) == (5, (), (4,))


# Several writers -----------------------------------------------------------------------------------------------------


def test_processes_append_at_the_same_time_and_one_of_them_is_killed(path: Path) -> None:
    source = """
        import sys
        from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog

        log = AuditLog(sys.argv[1])
        print("ready", flush=True)
        number = 0
        while number < int(sys.argv[3]):
            log.append({"writer": sys.argv[2], "number": number, "text": "x" * (number * 37 % 5000)})
            number += 1
    """
    victim = program(source, str(path), "victim", "1000000")
    assert victim.stdout
    assert victim.stdout.readline() == "ready\n"
    writers = [program(source, str(path), str(number), "25") for number in range(4)]
    for writer in writers:
        _output, errors = writer.communicate()
        assert writer.returncode == 0, errors
    victim.kill()
    victim.communicate()
    AuditLog(path).append({"writer": "last"})
    chain = verify(path)
    assert chain.problems == ()
    assert not chain.unfinished
    for number in range(4):
        found = [entry["number"] for entry in read(path) if entry["writer"] == str(number)]
        assert found == list(range(25))


def test_a_reader_cannot_stop_writers(log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may open the log may lock it; what writers lock is theirs alone."""
    monkeypatch.setattr(audit, "LOCK_TIMEOUT", 0.0)
    with path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        log.append({"number": 3})
    lock = path.with_name(f".{path.name}.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    with lock.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AuditError, match="another process has held it"):
            log.append({"number": 4})
    assert verify(path).lines == 4


# The file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_everybody_may_read_the_log_whatever_the_umask(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        AuditLog(path).check()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_full_disk_leaves_the_log_as_it_was(log: AuditLog, path: Path) -> None:
    """The limit of a process on the size of its files stops a write in its middle, as a full disk does."""
    before = path.read_bytes()
    source = """
        import resource, sys
        from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
        from ansible_collections.dockfra.core.plugins.module_utils.errors import AuditError

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        try:
            AuditLog(sys.argv[1]).append({"text": "x" * 1000})
        except AuditError as error:
            print(error)
    """
    writer = program(source, str(path), str(len(before) + 100))
    output, errors = writer.communicate()
    assert writer.returncode == 0, errors
    assert output.startswith(f"The audit log {path} cannot be written: ")
    assert path.read_bytes() == before
    log.append({"number": 3})
    assert verify(path).lines == 4


def test_without_room_on_the_disk_nothing_is_begun(
    log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.check()
    room = os.statvfs(path)
    monkeypatch.setattr(audit, "ROOM", (room.f_blocks + 1) * room.f_frsize)
    with pytest.raises(AuditError, match="No space left on device"):
        log.check()


@pytest.mark.parametrize("make", ["link", "pipe", "directory"])
def test_what_is_no_file_is_refused_by_writers(path: Path, make: str) -> None:
    target = path.with_name("target")
    target.write_text("untouched")
    if make == "link":
        path.symlink_to(target)
    elif make == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    for use in (AuditLog(path).check, lambda: AuditLog(path).append({})):
        with pytest.raises(AuditError, match="cannot be written"):
            use()
    assert target.read_text() == "untouched"


def test_a_reader_follows_its_own_link_and_no_other(log: AuditLog, path: Path, tmp_path: Path) -> None:
    """What another service has put in the place of its log must not lead to files of the reader's."""
    own = tmp_path / "own.jsonl"
    own.symlink_to(path)
    assert verify(own).lines == 3
    secret = tmp_path / "secret"
    path.rename(secret)
    path.symlink_to(secret)
    with pytest.raises(AuditError, match="cannot be read"):
        verify(own)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(AuditError, match="it is no file"):
        verify(own)


def test_a_missing_log_and_a_missing_directory(path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        verify(path)
    with pytest.raises(AuditError, match="No such file"):
        AuditLog(path / "deeper").check()
