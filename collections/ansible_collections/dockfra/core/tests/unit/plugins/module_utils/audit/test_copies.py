# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's copy of a log: what a service's own user changes afterwards is found by it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import copies, files
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read, verify
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog

LIMIT, KEEP = 500, 2


class Copied:
    """A log, and the monitor's copy of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "git.jsonl"
        self.folder = folder / "copies" / "git"
        self.log = AuditLog(self.path, limit=LIMIT, keep=KEEP)

    def write(self, count: int) -> None:
        for number in range(count):
            self.log.append({"verb": "x", "number": number})

    def follow(self, limit: int = copies.LIMIT) -> int:
        return copies.follow(self.path, self.folder, limit)

    def problems(self) -> tuple[str, ...]:
        return copies.compare(self.path, self.folder).problems

    def rewrite(self, change: Callable[[list[dict[str, object]]], None]) -> None:
        """As a service's own user can: other content, with a chain that holds."""
        entries = list(read(self.path))
        change(entries)
        for file in files.log_files(self.path):
            os.unlink(file.path)
        log = AuditLog(self.path)
        for entry in entries:
            log.append({key: value for key, value in entry.items() if key != "previous"})


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    found = Copied(tmp_path)
    found.write(3)
    found.follow()
    return found


def test_a_log_that_its_own_service_wrote_anew_is_found_finding_s12(copied: Copied) -> None:
    assert copied.problems() == ()
    copied.rewrite(lambda entries: entries[1].update(number=77))
    assert verify(copied.path).problems == ()
    assert copied.problems() == ("line 1 of git.jsonl is not what the monitor's copy has",)


def test_a_line_taken_from_the_end_is_found_finding_s12(copied: Copied) -> None:
    copied.path.write_bytes(b"".join(copied.path.read_bytes().splitlines(keepends=True)[:2]))
    assert verify(copied.path).problems == ()
    assert copied.problems() == ("line 3 of git.jsonl is missing, which the monitor's copy has",)


def test_the_copy_stays_when_the_log_is_changed(copied: Copied) -> None:
    before = (copied.folder / "000001.jsonl").read_bytes()
    copied.rewrite(lambda entries: entries.pop())
    copied.write(2)
    assert copied.follow() == 0
    assert (copied.folder / "000001.jsonl").read_bytes() == before
    assert copied.problems()


def test_the_copy_grows_by_whole_lines(copied: Copied) -> None:
    size = copied.path.stat().st_size
    with copied.path.open("ab") as file:
        file.write(b'{"time": "2026')
    assert copied.follow() == 0
    copied.write(1)
    assert copied.follow() == copied.path.stat().st_size - size
    assert copied.problems() == ()


def test_the_copy_follows_the_log_through_its_files(copied: Copied) -> None:
    for _round in range(40):
        copied.write(1)
        copied.follow()
        assert copied.problems() == ()
    kept = sorted(path.name for path in copied.folder.iterdir())
    assert kept[0] == "000001.jsonl"  # longer than the log itself keeps it
    assert len(kept) > KEEP + 1


def test_the_copy_catches_up_after_a_while(copied: Copied) -> None:
    copied.write(6)
    copied.follow()
    assert copied.problems() == ()
    assert len(list(copied.folder.iterdir())) == len(files.log_files(copied.path))


def test_files_that_were_dropped_before_they_were_copied_are_told(copied: Copied) -> None:
    copied.write(40)
    copied.follow()
    assert [problem for problem in copied.problems() if "were gone before the monitor had a copy" in problem]


def test_a_forged_next_file_is_found_finding_s12(copied: Copied) -> None:
    """Whatever it says came before."""
    copied.path.unlink()
    beginning = {"generation": 2, "oldest": 2, "lines": 3}
    AuditLog(copied.path).append({files.BEGINNING: beginning})
    copied.write(3)
    copied.follow()
    assert "file 2 does not follow file 1 as the monitor's copy has it" in copied.problems()


def test_the_copy_is_bounded_and_drops_its_oldest_files(copied: Copied) -> None:
    for _round in range(60):
        copied.write(1)
        copied.follow(2000)
    size = sum(path.stat().st_size for path in copied.folder.iterdir())
    assert size <= 2000 + 2 * LIMIT
    assert copied.problems() == ()
    assert copied.follow(2000) == 0


def test_a_log_that_grows_beyond_the_limit_is_copied_no_further(copied: Copied) -> None:
    with copied.path.open("ab") as file:
        file.write(b"x\n" * 5000)
    copied.follow(2000)
    assert (copied.folder / "000001.jsonl").stat().st_size <= 2000


def test_what_nobody_touched_is_not_read_again(copied: Copied) -> None:
    compared = copies.compare(copied.path, copied.folder).compared
    assert json.loads(json.dumps(compared)) == dict(compared)
    # A forged memory shows that it is believed, and only while the files are the same.
    copied.path.write_bytes(copied.path.read_bytes().replace(b'"number": 1', b'"number": 9'))
    assert copies.compare(copied.path, copied.folder, compared).problems


def test_without_a_copy_nothing_is_vouched_for(copied: Copied) -> None:
    shutil.rmtree(copied.folder)
    found = copies.compare(copied.path, copied.folder)
    assert (found.problems, found.reaches) == ((), (0, 0))
