# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the services were is told to a real server: soon, after each sample, and whatever it answers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import AnnouncementError
from ansible_collections.dockfra.core.plugins.module_utils.watch.history import Change, History, Sample
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import application, deployments
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.chronicle import Chronicle, letter
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger
from ansible_collections.dockfra.core.tests.unit.fake_application import TOKEN, FakeApplication
from ansible_collections.dockfra.core.tests.unit.hostile_server import ANSWERS, SLOW, HostileServer

NOW = 1_800_000_000.0


@pytest.fixture
def server() -> Iterator[FakeApplication]:
    found = FakeApplication()
    yield found
    found.close()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = History(tmp_path / "history.sqlite")
    found.add(
        [Change(NOW - 9999, name, "up", "secret detail") for name in ("backend", "redis", "-odd", "x" * 64)]
    )
    times = [NOW - number * 300 for number in range(6)]
    found.add([], [Sample("backend", moment, 60, 60, 7) for moment in times])
    found.add(
        [],
        [Sample("redis", moment, 60, up, 7) for moment, up in zip(times, (0, 0, 0, 0, 1, 60), strict=True)],
    )
    found.add([], [Sample(name, NOW, 60, 60, 7) for name in ("-odd", "x" * 64)])
    yield found
    found.close()


class Bench:
    """A chronicle in a folder, and what it said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.said: list[str] = []
        monkeypatch.setattr(application, "CONFIGURATION", folder / "deployments.json")
        monkeypatch.setattr(ledger, "PLACE", folder / "deploys.json")
        monkeypatch.setattr(deployments, "KEPT", folder / "kept")

    def start(self, **times: float) -> Chronicle:
        given = {"soon": 0.0, "again": 60.0, "later": 60.0, **times}

        def log(_event: str, problem: str) -> None:
            self.said.append(problem)

        return Chronicle(self.folder / "history.sqlite", log, **given, clock=lambda: NOW)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: History) -> Bench:
    return Bench(tmp_path, monkeypatch)


def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_last_day_is_told_soon_and_after_each_sample(
    bench: Bench, server: FakeApplication, history: History
) -> None:
    server.configure(application.CONFIGURATION)
    chronicle = bench.start()
    eventually(lambda: server.history)
    backend = {"service": "backend", "parts": "-" * 94 + "uu"}
    redis = {"service": "redis", "parts": "-" * 94 + "pd"}
    assert server.history == [{"until": "2027-01-15T08:00:00Z", "step": 900, "services": [backend, redis]}]
    [(method, path, headers)] = server.requests
    assert (method, path, headers["Authorization"]) == ("PUT", "/api/history", f"Bearer {TOKEN}")
    history.add([], [Sample("backend", NOW - 100, 60, 59, 7)])
    chronicle.sampled()
    eventually(lambda: len(server.history) == 2)
    assert server.history[1]["services"][0]["parts"].endswith("up")
    assert bench.said == []


@pytest.mark.parametrize("path", ["/api/history", ""])
def test_a_deploy_that_was_killed_is_not_under_way_for_long(
    bench: Bench, server: FakeApplication, path: str
) -> None:
    server.configure(application.CONFIGURATION, history_path=path)
    notes = ledger.Ledger()
    killed, alive = (
        notes.begin(ledger.Deploy(target, (target,), "", "", "monitor", NOW)) for target in ("backend", "all")
    )
    # Of the first one's process nothing is left.
    data = ledger.PLACE.read_text().replace(f'"pid": {os.getpid()}', '"pid": 4194303', 1)
    ledger.PLACE.write_text(data)
    for deploy in (killed, alive):
        deployments.announce_begin({**deployments.row(
            deploy_id=deploy.id, target=deploy.target, services=[], commit="", release="", by="x",
            started=NOW, seconds=0, result=ledger.RUNNING)})  # fmt: skip
    bench.start()
    eventually(lambda: [deploy.told for deploy in notes.latest()] == [False, True])
    time.sleep(0.1)
    assert (server.rows[killed.id]["note"], server.rows[alive.id]["status"]) == (
        "its process was killed",
        "started",
    )
    assert [deploy.told for deploy in notes.latest()] == [False, True]
    assert bench.said == []


def test_an_end_that_could_not_be_told_is_told_within_minutes(bench: Bench, server: FakeApplication) -> None:
    server.configure(application.CONFIGURATION)
    server.status = 503
    row = {"deploy_id": "left", "status": "succeeded", "service": "backend"}
    with pytest.raises(AnnouncementError):
        deployments.announce(row)
    chronicle = bench.start()
    eventually(lambda: bench.said)
    server.status = 0
    chronicle.sampled()
    eventually(lambda: "left" in server.rows and server.history)
    eventually(lambda: not list(deployments.KEPT.glob("*")))


def test_what_is_refused_of_a_deploy_holds_the_history_up_for_nobody(
    bench: Bench, server: FakeApplication
) -> None:
    server.configure(application.CONFIGURATION)
    ledger.Ledger().end(
        ledger.Ledger().begin(ledger.Deploy("all", (), "", "", "x", NOW)), ledger.INTERRUPTED, "ended"
    )
    server.refuses = "POST"
    chronicle = bench.start()
    eventually(lambda: server.history and bench.said)
    assert "backend takes no deploys at /api/deployments" in bench.said[0]
    chronicle.sampled()
    eventually(lambda: len(server.history) == 2 and len(bench.said) == 2)
    assert bench.said[1:] == [""]


def test_letters() -> None:
    assert [letter(part) for part in (None, 0.0, 0.001, 0.999, 1.0)] == ["-", "d", "p", "p", "u"]


def test_what_was_not_taken_is_told_again_and_said_once(bench: Bench, server: FakeApplication) -> None:
    server.configure(application.CONFIGURATION)
    server.status = 503
    bench.start(again=0.02)
    eventually(lambda: len(server.requests) > 3)
    assert bench.said == ["backend was not told how the services were: it answers with HTTP 503"]
    server.status = 0
    eventually(lambda: server.history and len(bench.said) == 2)
    assert bench.said[1:] == [""]


def test_an_application_that_does_not_want_to_know_is_left_alone_for_long(
    bench: Bench, server: FakeApplication
) -> None:
    server.configure(application.CONFIGURATION)
    server.status = 404
    chronicle = bench.start(later=0.5)
    eventually(lambda: bench.said)
    assert bench.said[0].startswith("backend takes no history at /api/history: it answers with HTTP 404; ")
    for _time in range(3):
        chronicle.sampled()
        time.sleep(0.05)
    assert len(server.requests) == 1
    time.sleep(0.5)
    server.status = 0
    chronicle.sampled()
    eventually(lambda: server.history and len(bench.said) == 2)
    assert bench.said[1:] == [""]


@pytest.mark.parametrize("changes", [{"history_path": ""}, None])
def test_where_nobody_wants_to_know_nothing_is_told(
    bench: Bench, server: FakeApplication, changes: dict[str, Any] | None
) -> None:
    if changes is not None:
        server.configure(application.CONFIGURATION, **changes)
    bench.start().sampled()
    time.sleep(0.3)
    assert (server.requests, bench.said) == ([], [])


def test_a_place_from_before_there_was_a_history(bench: Bench, server: FakeApplication) -> None:
    server.configure(application.CONFIGURATION)
    place = json.loads(application.CONFIGURATION.read_text())
    del place["history_path"]
    application.CONFIGURATION.write_text(json.dumps(place))
    found = application.load()
    assert found is not None
    assert found.history == ""


def test_what_cannot_be_read_is_said_in_a_line_and_made_up_for(bench: Bench, server: FakeApplication) -> None:
    (bench.folder / "deployments.json").write_text("{" + TOKEN)
    chronicle = bench.start()
    eventually(lambda: bench.said)
    server.configure(application.CONFIGURATION)
    (bench.folder / "history.sqlite").rename(bench.folder / "away")
    chronicle.sampled()
    eventually(lambda: len(bench.said) == 2)
    (bench.folder / "away").rename(bench.folder / "history.sqlite")
    chronicle.sampled()
    eventually(lambda: server.history and len(bench.said) == 3)
    assert bench.said[0].endswith("run site.yml again")
    assert bench.said[1].startswith("The history ")
    assert bench.said[2] == ""
    assert all(TOKEN not in text and "\n" not in text for text in bench.said)


@pytest.mark.parametrize("parts", [*ANSWERS, *SLOW])
def test_an_application_without_end_holds_nobody_up(
    bench: Bench, server: FakeApplication, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "PATIENCE", 0.3)
    with HostileServer(parts) as hostile:
        server.configure(application.CONFIGURATION, port=hostile.port)
        begin = time.monotonic()
        chronicle = bench.start()
        chronicle.sampled()
        assert time.monotonic() - begin < 0.2
        eventually(lambda: bench.said)
        assert hostile.sent < 20_000_000
    assert bench.said[0].startswith("backend was not told how the services were: ")
