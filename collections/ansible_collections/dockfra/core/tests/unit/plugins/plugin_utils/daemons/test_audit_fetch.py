# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Audit logs of another Docker host: they come whole and once, go on after a cut, and a log that was changed is told."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import copies
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read, verify
from ansible_collections.dockfra.core.plugins.module_utils.audit.feed import MOST_LINE
from ansible_collections.dockfra.core.plugins.module_utils.audit.files import log_files
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.audit.mirror import (
    MOST,
    Mirror,
    Part,
    Position,
    beyond,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import AuditError
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_fetch import (
    AGAIN,
    GRACE,
    SILENCE,
    Stream,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_serve import BUSY, Server


class Collected:
    """Logs there, and their mirrors here, without a link in between.

    Attributes:
        there: the directory of the logs.
        here: that of the mirrors.
        told: what the daemon here would write into its log.
        late: seconds that have gone by for it alone.
    """

    def __init__(self, folder: Path) -> None:
        self.there, self.here = folder / "there", folder / "here"
        self.there.mkdir()
        self.told: list[dict[str, object]] = []
        self.late = 0.0
        self.server = self.serve(0)
        self.stream = self.begin()

    def serve(self, port: int) -> Server:
        server = Server(
            port, {name: self.there / f"{name}.jsonl" for name in ("one", "two")}, lambda *_, **__: None
        )
        assert list(server.step()) == []
        return server

    def begin(self) -> Stream:
        """A stream of its own, as after a restart of the daemon."""
        return Stream("tunnel-app", self.server.port, ["one", "two"], self.here, self._tell, self._clock)

    def log(self, name: str) -> AuditLog:
        return AuditLog(self.there / f"{name}.jsonl", limit=4096)

    def step(self) -> list[str]:
        """Let both daemons work once; returns what is wrong here."""
        list(self.server.step())
        return list(self.stream.step())

    def same(self, name: str) -> bool:
        """Take what has come, and say whether the mirror is what the log is."""
        self.step()
        mirror = self.here / name / f"{name}.jsonl"
        if not mirror.exists():
            return False
        there, here = (
            {file.generation: Path(file.path).read_bytes() for file in log_files(path)}
            for path in (self.there / f"{name}.jsonl", mirror)
        )
        return all(here.get(generation) == content for generation, content in there.items())

    def ended(self) -> list[object]:
        """Why streams have ended."""
        return [entry["problem"] for entry in self.told if entry["event"] == "ended"]

    def _tell(self, event: str, **fields: object) -> None:
        self.told.append({"event": event, **fields})

    def _clock(self) -> float:
        return time.monotonic() + self.late


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[Collected]:
    found = Collected(tmp_path)
    yield found
    found.stream.close()
    found.server.close()


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


def test_a_log_that_was_changed_or_removed_is_told_and_its_mirror_stays(collected: Collected) -> None:
    path = collected.there / "one.jsonl"
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"x"', b'"y"'))
    wait_for(
        lambda: any("tunnel-app says: " in each and "is not what it was" in each for each in collected.step())
    )
    path.unlink()
    wait_for(lambda: any("one.jsonl cannot be read" in problem for problem in collected.step()))
    assert (collected.here / "one" / "one.jsonl").read_bytes() == before
    # A mirror that is taken away begins anew.
    path.write_bytes(before.replace(b'"x"', b'"y"'))
    collected.stream.close()
    shutil.rmtree(collected.here / "one")
    collected.stream = collected.begin()
    wait_for(lambda: collected.same("one") and collected.step() == [])


def test_a_log_that_is_what_it_was_again_goes_on(collected: Collected) -> None:
    path = collected.there / "one.jsonl"
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    before = path.read_bytes()
    path.unlink()
    wait_for(lambda: collected.step() != [])
    # The other one goes on meanwhile.
    collected.log("two").append({"verb": "x"})
    wait_for(lambda: collected.same("two"))
    path.write_bytes(before)
    wait_for(lambda: collected.step() == [])
    said = [str(entry["problem"]) for entry in collected.told if entry.get("log") == "one"]
    assert ["cannot be read" in said[0], said[1:]] == [True, [""]]


def test_a_stream_that_ends_is_told_once_and_begun_anew(collected: Collected) -> None:
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    collected.server.close()
    wait_for(lambda: not list(collected.stream.step()) and collected.ended() != [])
    collected.late += AGAIN
    list(collected.stream.step())
    collected.server = collected.serve(collected.server.port)
    collected.log("one").append({"verb": "y"})
    collected.late += AGAIN
    wait_for(lambda: collected.same("one"))
    assert collected.ended() == ["the stream has ended", "Connection refused"]


def test_where_nothing_comes_for_long_that_is_a_problem(collected: Collected) -> None:
    wait_for(lambda: collected.step() == [] and collected.stream._positions != {})
    # A link that is down tells so itself, and sooner.
    collected.server.close()
    collected.late += GRACE / 2
    wait_for(lambda: not list(collected.stream.step()) and collected.ended() != [])
    collected.late += GRACE
    list(collected.stream.step())
    assert list(collected.stream.step()) == ["the audit logs of tunnel-app do not come: Connection refused"]
    collected.server = collected.serve(collected.server.port)
    collected.late += AGAIN
    wait_for(lambda: collected.step() == [])


def test_a_stream_that_stands_still_is_given_up(collected: Collected) -> None:
    wait_for(lambda: collected.step() == [] and collected.stream._connection is not None)
    while list(collected.stream.step()) or collected.stream._rest:
        continue
    collected.late += SILENCE + 1
    list(collected.stream.step())
    assert collected.ended() == ["nothing came for 30 s"]


def test_a_second_stream_is_told_that_it_is_one(collected: Collected) -> None:
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: collected.same("one"))
    first, collected.stream = collected.stream, collected.begin()
    wait_for(lambda: collected.step() == [] and collected.ended() != [])
    assert collected.ended() == [f"tunnel-app says: {BUSY}"]
    # Once the first is gone, the second is served.
    first.close()
    collected.late += AGAIN
    collected.log("one").append({"verb": "y"})
    wait_for(lambda: collected.same("one"))


def test_a_mirror_that_cannot_be_written_is_a_problem_until_it_can(collected: Collected) -> None:
    collected.here.write_text("no directory")
    collected.log("one").append({"verb": "x"})
    wait_for(lambda: any("one.jsonl cannot be" in problem for problem in collected.step()))
    collected.here.unlink()
    collected.late += AGAIN
    wait_for(lambda: collected.same("one") and collected.step() == [])


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"nothing\n", "says nothing of an audit log"),
        (b'{"log": "one", "generation": 1, "text": "x"}\n', "says nothing of an audit log"),
        (
            b'{"log": "one", "generation": 1, "offset": 0, "text": "\\u1234"}\n',
            "says nothing of an audit log",
        ),
        (b'{"log": "one", "generation": 1, "offset": 9, "text": "x"}\n', "no part of an audit log"),
        (b"x" * (MOST_LINE + 1), "too long"),
    ],
)
def test_what_is_no_part_of_a_log_ends_the_stream(said: bytes, problem: str, collected: Collected) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        collected.stream = Stream(
            "tunnel-app", listener.getsockname()[1], ["one"], collected.here, collected._tell
        )
        list(collected.stream.step())
        with listener.accept()[0] as other:
            thread = threading.Thread(target=other.sendall, args=(said,))
            thread.start()
            wait_for(lambda: bool(list(collected.stream.step())) or collected.ended() != [])
            thread.join()
    assert problem in str(collected.ended()[0])
    assert not collected.here.exists()


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


def test_a_log_that_grows_full_while_it_is_read_is_read_on_later(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log.jsonl", limit=1024)
    log.append({"verb": "x"})
    while len(log_files(log.path)) < 2:
        log.append({"verb": "x"})
    parts = beyond(str(log.path), Position())
    mirror = Mirror(str(tmp_path / "mirror"))
    position = mirror.add(next(parts), Position())
    while len(log_files(log.path)) < 3:
        log.append({"verb": "y"})
    assert list(parts) == []
    for part in beyond(str(log.path), position):
        position = mirror.add(part, position)
    assert [file.generation for file in log_files(mirror.path)] == [1, 2, 3]
