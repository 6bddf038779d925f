# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A call that nobody ended has its line all the same, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.audit.underway import noted, tell_lost

CALL = {"caller": "manager", "role": "developer", "verb": "implement", "arguments": ["T-0001"]}


def notes(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if ".call." in name]


def lost_call(path: Path, while_it_works: Callable[[], object] = lambda: None) -> None:
    """Kill a process in the middle of a call."""
    script = f"""
        import os, time
        from {noted.__module__} import noted
        with noted({str(path)!r}, {CALL!r}):
            print("there", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        while_it_works()
        process.send_signal(signal.SIGKILL)


def test_a_call_that_was_killed_has_one_line_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    log = AuditLog(path)
    log.append({"verb": "before"})
    told = []
    lost_call(path, lambda: told.append(tell_lost(log)))
    assert told == [0]
    assert len(notes(tmp_path)) == 1
    assert [tell_lost(log), tell_lost(log)] == [1, 0]
    _before, line = chain.read(path)
    assert {key: line[key] for key in CALL} == CALL
    assert (line["verdict"], line["result"], line["duration"]) == ("unknown", "lost", None)
    assert line["started"] <= line["time"]
    assert chain.verify(path).problems == ()
    assert notes(tmp_path) == []


def test_a_call_that_ended_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with noted(path, CALL):
        assert len(notes(tmp_path)) == 1
    with pytest.raises(KeyboardInterrupt), noted(path, CALL):
        raise KeyboardInterrupt
    assert notes(tmp_path) == []
    assert tell_lost(AuditLog(path)) == 0
    assert not path.exists()


@pytest.mark.parametrize("text", [b"", b'{"caller": "man', bytes(100), b"[" * 10_000])
def test_half_a_note_is_of_a_call_that_had_done_nothing(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    (tmp_path / ".x.jsonl.call.0123").write_bytes(text)
    assert tell_lost(AuditLog(path)) == 0
    assert notes(tmp_path) == []


def test_what_is_no_note_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    (tmp_path / ".x.jsonl.call.link").symlink_to("/etc/passwd")
    (tmp_path / ".x.jsonl.call.folder").mkdir()
    os.mkfifo(tmp_path / ".x.jsonl.call.pipe")
    lost_call(path)
    assert tell_lost(AuditLog(path)) == 1


def test_where_no_note_can_be_written_the_call_is_done(tmp_path: Path) -> None:
    done = []
    with noted(tmp_path / "missing" / "x.jsonl", CALL):
        done.append(1)
    assert done == [1]
    assert tell_lost(AuditLog(tmp_path / "missing" / "x.jsonl")) == 0


def test_whoever_finds_it_first_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for _call in range(5):
        lost_call(path)
    script = f"""
        from {AuditLog.__module__} import AuditLog
        from {noted.__module__} import tell_lost
        tell_lost(AuditLog({str(path)!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finders = [subprocess.Popen(command, env=environment) for _number in range(4)]
    assert [finder.wait() for finder in finders] == [0] * 4
    while tell_lost(AuditLog(path)):
        pass
    assert len(list(chain.read(path))) == 5
    assert notes(tmp_path) == []
