# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Audit logs of another Docker host: they come whole and once, go on after a cut, and a log that was changed is told."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import copies
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read, verify
from ansible_collections.dockfra.core.plugins.module_utils.audit.files import log_files
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.audit.mirror import MOST, Mirror, Part, Position
from ansible_collections.dockfra.core.plugins.module_utils.errors import AuditError
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_fetch import Stream
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

# The gate of the tunnel, without ssh in between.
GATE = """
    import argparse, sys
    from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import events
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call, Place
    from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import audit_stream

    audit_stream.DIRECTORY = sys.argv[1]
    audit_stream.PERIOD = 0.05
    place = Place("tunnel-app", "tunnel-app", Policy({}, {}), {})
    told = events.Events(as_json=True, streams=True)
    audit_stream.run(Call("audit-stream", "monitor", place, argparse.Namespace(), sys.stdin.buffer, told=told))
"""


class Collected:
    """Logs there, and their mirrors here.

    Attributes:
        there: the directory of the logs.
        here: that of the mirrors.
        told: what the daemon would write into its log.
    """

    def __init__(self, folder: Path) -> None:
        self.there, self.here = folder / "there", folder / "here"
        self.there.mkdir()
        self.told: list[dict[str, object]] = []
        self.stream = self.begin()

    def begin(self) -> Stream:
        """A stream of its own, as after a restart of the daemon."""
        command = (sys.executable, "-c", textwrap.dedent(GATE), str(self.there))
        return Stream("tunnel-app", ["one", "two"], self.here, self._tell, command)

    def log(self, name: str) -> AuditLog:
        return AuditLog(self.there / f"{name}.jsonl", limit=4096)

    def same(self, name: str) -> bool:
        """Take what has come, and say whether the mirror is what the log is."""
        list(self.stream.step())
        mirror = self.here / name / f"{name}.jsonl"
        if not mirror.exists():
            return False
        there, here = (
            {file.generation: Path(file.path).read_bytes() for file in log_files(path)}
            for path in (self.there / f"{name}.jsonl", mirror)
        )
        return all(here.get(generation) == content for generation, content in there.items())

    def _tell(self, event: str, **fields: object) -> None:
        self.told.append({"event": event, **fields})


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    monkeypatch.setenv("PYTHONPATH", str(COLLECTIONS))
    found = Collected(tmp_path)
    yield found
    found.stream.close()


def wait_for(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_logs_come_whole_as_they_grow_and_over_the_end_of_a_file(collected: Collected) -> None:
    for number in range(30):
        collected.log("one").append({"verb": "x", "number": number, "text": "ä\x7f"})
    wait_for(lambda: collected.same("one"))
    assert not (collected.here / "two").exists()
    for number in range(60):
        collected.log("one").append({"verb": "y", "number": number})
        collected.log("two").append({"verb": "z"})
    wait_for(lambda: collected.same("one") and collected.same("two"))
    mirror = collected.here / "one" / "one.jsonl"
    assert len(log_files(mirror)) > 2
    assert verify(mirror).problems == ()
    assert sum(1 for _entry in read(mirror)) == 90
    # From here on it is a log like any other.
    assert copies.follow(mirror, collected.here / "copies") > 0


def test_a_log_without_a_line_is_there_too(collected: Collected) -> None:
    path = collected.there / "one.jsonl"
    path.touch()
    wait_for(lambda: collected.same("one"))
    assert verify(collected.here / "one" / "one.jsonl").problems == ()
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one") and sum(1 for _entry in read(path)) == 1)
    assert not (collected.here / "two").exists()


def test_what_was_cut_goes_on_where_it_was(collected: Collected) -> None:
    for number in range(20):
        collected.log("one").append({"verb": "x", "number": number})
    wait_for(lambda: collected.same("one"))
    collected.stream.close()
    mirror = collected.here / "one" / "one.jsonl"
    # What a power cut leaves of a line.
    with mirror.open("ab") as file:
        file.write(b'{"half')
    for number in range(20):
        collected.log("one").append({"verb": "y", "number": number})
    collected.stream = collected.begin()
    wait_for(lambda: collected.same("one"))


def test_a_log_that_was_changed_is_told_and_its_mirror_stays(collected: Collected) -> None:
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    before = (collected.here / "one" / "one.jsonl").read_bytes()
    (collected.there / "one.jsonl").write_bytes(before.replace(b'"x"', b'"y"'))
    wait_for(lambda: any("is not what it was" in problem for problem in collected.stream.step()))
    assert (collected.here / "one" / "one.jsonl").read_bytes() == before


def test_a_stream_that_ends_is_told_once_and_begun_anew(collected: Collected) -> None:
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    client = collected.stream._client
    assert client is not None
    os.kill(client._process.pid, signal.SIGKILL)
    wait_for(lambda: not list(collected.stream.step()) and collected.stream._client is None)
    assert [entry["event"] for entry in collected.told] == ["ended"]
    collected.log("one").append({"verb": "y"})
    wait_for(lambda: collected.same("one"))


def line(generation: int, text: str = "x") -> bytes:
    return b'{"log": {"generation": %d, "oldest": 1, "lines": 1}, "text": "%s"}\n' % (
        generation,
        text.encode(),
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part(1, 7, b'{"verb": "x"}\n'), "was to follow"),
        (Part(1, 0, b'{"verb": "x"}\n'), "was to follow"),
        (Part(2, 0, b'{"verb": "x"}\n'), "was to follow"),
        (Part(3, 0, line(2)), "was to follow"),
        (Part(1, 14, b'{"half'), "no part of an audit log"),
        (Part(1, MOST, b'{"verb": "x"}\n'), "no part of an audit log"),
    ],
)
def test_what_does_not_go_on_from_there_is_not_taken(part: Part, message: str, tmp_path: Path) -> None:
    mirror = Mirror(str(tmp_path / "log"))
    position = mirror.add(Part(1, 0, b'{"verb": "x"}\n'), Position())
    assert mirror.position() == position
    with pytest.raises(AuditError, match=message):
        mirror.add(part, position)
    assert mirror.position() == position


def test_a_mirror_keeps_as_many_files_as_a_log(tmp_path: Path) -> None:
    mirror = Mirror(str(tmp_path / "log"))
    position = mirror.add(Part(1, 0, b'{"verb": "x"}\n'), Position())
    for generation in range(2, 20):
        position = mirror.add(Part(generation, 0, line(generation)), position)
        assert mirror.position() == position
    assert [file.generation for file in log_files(mirror.path)] == list(range(11, 20))
