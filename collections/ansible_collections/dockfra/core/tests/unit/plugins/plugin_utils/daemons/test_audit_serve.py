# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Audit logs for another Docker host: whoever asks wrongly, late or too much gets nothing, and holds nobody up."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import audit_serve
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_serve import BUSY, Server

MIB = 1024 * 1024


class Served:
    """A server and those who ask it.

    Attributes:
        told: what it would write into its log.
        late: seconds that have gone by for it alone.
    """

    def __init__(self, folder: Path) -> None:
        self.told: list[dict[str, Any]] = []
        self.late = 0.0
        self.path = folder / "one.jsonl"
        self.server = Server(
            0,
            {"one": self.path},
            lambda event, **fields: self.told.append({"event": event, **fields}),
            self._clock,
        )
        assert self.step() == []

    def step(self) -> list[str]:
        return list(self.server.step())

    def connect(self, line: bytes = b"") -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.server.port), 5)
        found.sendall(line)
        found.setblocking(False)
        return found

    def _clock(self) -> float:
        return time.monotonic() + self.late


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    found.server.close()


def heard(served: Served, connection: socket.socket, lines: int = 1000) -> list[Any]:
    """What comes, so many lines of it at most; the last one is None where it ended."""
    data, ended = b"", False
    deadline = time.monotonic() + 10
    while not ended and data.count(b"\n") < lines and time.monotonic() < deadline:
        served.step()
        try:
            part = connection.recv(MIB)
            data, ended = data + part, not part
        except BlockingIOError:
            continue
        except ConnectionError:
            ended = True
    return [*map(json.loads, data.splitlines()), *([None] if ended else [])]


def test_logs_are_sent_from_where_they_were_read(served: Served) -> None:
    AuditLog(served.path).append({"verb": "x"})
    text = served.path.read_text()
    with served.connect(b"{}\n") as reader:
        assert heard(served, reader, 3) == [
            {"log": "one", "generation": 1, "offset": 0, "text": text},
            {"log": "one"},
            {},
        ]
        AuditLog(served.path).append({"verb": "y"})
        (more,) = heard(served, reader, 1)
        assert (more["offset"], text + more["text"]) == (len(text), served.path.read_text())
        served.late += audit_serve.BEAT
        assert heard(served, reader, 1) == [{}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nothing\n", "does not say of each log"),
        (b"[]\n", "does not say of each log"),
        (b'{"one": [1, 2]}\n', "does not say of each log"),
        (b'{"one": [1, -2, ""]}\n', "no number is below 0"),
        (b"x" * 70_000, "too long"),
        (b"[" * 60_000 + b"\n", "does not say of each log"),
    ],
)
def test_who_asks_for_nothing_that_can_be_meant_gets_nothing(
    line: bytes, reason: str, served: Served
) -> None:
    with served.connect(line) as reader:
        assert heard(served, reader) == [None]
    assert [entry["event"] for entry in served.told] == ["begun", "ended"]
    assert reason in served.told[1]["reason"]


def test_the_first_line_has_to_come_in_time(served: Served) -> None:
    with served.connect(b"{") as reader:
        served.step()
        served.late += audit_serve.PATIENCE + 1
        assert heard(served, reader) == [None]
    assert served.told[1]["reason"] == "the first line did not come within 30 s"


def test_one_is_served_at_a_time_and_others_are_told_so(served: Served) -> None:
    served.path.touch()
    with served.connect(b"{}\n") as first, served.connect(b"{}\n") as second:
        assert heard(served, first, 2) == [{"log": "one"}, {}]
        assert heard(served, second) == [{"problem": BUSY}, None]
        others = [served.connect() for _number in range(audit_serve.MOST)]
        assert heard(served, others[-1]) == [None]
        for other in others:
            other.close()
    while len(served.told) < 2:
        served.step()
    with served.connect(b"{}\n") as third:
        assert heard(served, third, 2) == [{"log": "one"}, {}]
    assert [entry["event"] for entry in served.told] == ["begun", "ended", "begun"]


def test_one_who_takes_nothing_holds_nobody_up(served: Served) -> None:
    served.path.write_bytes(b'{"verb": "x"}\n' * MIB)
    with served.connect(b"{}\n") as reader:
        for _number in range(3):
            begun = time.monotonic()
            assert served.step() == []
            assert time.monotonic() - begun < audit_serve.STEP + 1
        served.late += audit_serve.SILENCE + 1
        served.step()
        assert served.told[1]["reason"] == "nothing was taken for 30 s"
        assert heard(served, reader)[-1] is None


def test_where_it_cannot_listen_that_is_a_problem(served: Served) -> None:
    other = Server(served.server.port, {}, lambda *_, **__: None)
    (problem,) = other.step()
    assert problem.startswith(f"nobody can ask for the audit logs at 127.0.0.1:{served.server.port}: Address")


def test_a_log_is_the_own_one_or_that_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_serve, "OTHERS", str(tmp_path / "others"))
    monkeypatch.setattr(audit_serve, "DIRECTORY", str(tmp_path / "audit"))
    (tmp_path / "others" / "one").mkdir(parents=True)
    assert audit_serve.place("one") == tmp_path / "others" / "one" / "one.jsonl"
    assert audit_serve.place("tunnel") == tmp_path / "audit" / "tunnel.jsonl"
