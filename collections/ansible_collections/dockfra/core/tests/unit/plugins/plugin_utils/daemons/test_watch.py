# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The watch sees what stops and what comes back, tells it once each, and goes on where one before it was killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.audit.lines import decode
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.errors import BusyError
from ansible_collections.dockfra.core.plugins.module_utils.watch import requests, snapshot
from ansible_collections.dockfra.core.plugins.module_utils.watch.history import Alert, History, Reader
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import bastions, health
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.watch import (
    SAMPLE,
    STARTING,
    Watch,
    container_age,
)
from ansible_collections.dockfra.core.tests.unit.fake_services import FakeServices
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS
from ansible_collections.dockfra.core.tests.unit.watching import PLACE


class Post:
    """Takes alerts and keeps them."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def put(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def problem(self) -> str:
        return ""


class Bench:
    """A watch in a folder, with services that can be turned off and a clock that can be turned on."""

    def __init__(self, folder: Path, services: FakeServices) -> None:
        self.folder = folder
        self.services = services
        self.now = time.time()
        self.age = 3600.0
        self.said: list[dict[str, Any]] = []
        self.post = Post()
        self.containers: dict[str, dict[str, Any]] = {}
        self.releases: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.sampled = 0
        self.watch = self.started()

    def started(self) -> Watch:
        daemon = Daemon("watch", self.folder)
        daemon.log = self.log  # type: ignore[method-assign]
        log = AuditLog(self.folder / "ssh-monitor.jsonl")
        post: Any = self.post
        asked = self.folder / "asked"
        return Watch(
            daemon,
            PLACE,
            log,
            post,
            lambda: self.releases,
            lambda: self.containers,
            self.history,
            lambda: self.age,
            lambda: self.now,
            asked,
            sampled=self._sample,
            linked=lambda: self.links,
        )

    def _sample(self) -> None:
        # Whoever is told finds the sample in the history.
        assert Reader(self.history).parts(self.now + 1, 900, 1, 9)
        self.sampled += 1

    def log(self, event: str, **fields: Any) -> None:
        self.said.append({"event": event, **fields})

    @property
    def history(self) -> Path:
        return self.folder / "history.sqlite"

    def look(self, times: int = 1) -> list[str]:
        problems: list[str] = []
        for _look in range(times):
            problems = list(self.watch.step())
            self.now += 5
        return problems

    def set(self, service: str, status: int) -> None:
        self.pages[service]["/health"] = status

    pages: dict[str, dict[str, int]]

    def lines(self) -> list[dict[str, Any]]:
        path = self.folder / "ssh-monitor.jsonl"
        found = [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        return [entry for entry in found if entry is not None]

    def alerts(self) -> list[tuple[str, str]]:
        return [tuple(line["arguments"]) for line in self.lines() if line["verb"] == "alert"]

    def snapshot(self) -> dict[str, Any]:
        found = snapshot.read(self.folder / "watch.json", 60)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    services = FakeServices(tmp_path)
    monkeypatch.setattr(health, "CONFIGURATION", services.file)
    found = Bench(tmp_path, services)
    found.pages = {name: {"/health": 200} for name in ("backend", "frontend")}
    for name, pages in found.pages.items():
        services.http(name, pages)
    yield found
    services.close()


def test_a_link_that_is_not_up_is_an_alert_with_its_reason(bench: Bench) -> None:
    bench.links = [{"tunnel": "tunnel-app", "problem": ""}]
    bench.look(5)
    assert (bench.alerts(), bench.snapshot()["alerts"]) == ([], [])
    bench.links = [{"tunnel": "tunnel-app", "problem": "refused: the other side has not the host key"}]
    bench.look(5)
    assert bench.alerts() == [("link", "wrong")]
    assert bench.snapshot()["alerts"] == ["link"]
    assert bench.post.alerts[-1].detail == "tunnel-app: refused: the other side has not the host key"
    bench.links = [{"tunnel": "tunnel-app", "problem": ""}]
    bench.look(60)
    assert bench.alerts()[-1] == ("link", "back")


def test_all_well_is_a_snapshot_and_no_alert(bench: Bench) -> None:
    assert bench.look(3) == []
    seen = bench.snapshot()
    assert {service["service"]: service["state"] for service in seen["services"]} == {
        "backend": "up",
        "frontend": "up",
    }
    assert all(service["since"] == pytest.approx(bench.now - 15) for service in seen["services"])
    assert (seen["alerts"], seen["releases"], seen["problem"]) == ([], [], "")
    assert (bench.alerts(), bench.post.alerts, bench.said) == ([], [], [])


def test_containers_and_room_stand_beside_their_services_where_they_are_known(bench: Bench) -> None:
    bench.look(2)
    assert all(not {"container", "room"} & set(service) for service in bench.snapshot()["services"])
    bench.containers = {
        "backend": {"state": "exited", "health": "", "exit_code": 137},
        "somebody": {"state": "running", "health": "", "exit_code": None},
    }
    bench.releases = [
        bastions.checked(said)
        for said in (
            {"service": "frontend", "used": 91, "cleanable": 0},
            {"service": "backend", "used": 40, "cleanable": None},
            {"service": "db", "used": 101, "cleanable": 1},
            {"problem": "it is away"},
        )
    ]
    bench.look(3)
    backend, frontend = bench.snapshot()["services"]
    assert backend["container"] == {"state": "exited", "health": "", "exit_code": 137}
    assert (backend["room"], frontend["room"]) == ({"used": 40}, {"used": 91, "cleanable": 0})
    assert "container" not in frontend
    # What an engine says is no alert: people are told of what the services answer.
    assert (bench.alerts(), bench.said) == ([], [])


def test_one_that_fails_is_told_once_and_once_when_it_is_back(bench: Bench) -> None:
    bench.look(2)
    bench.set("backend", 503)
    bench.look()
    assert bench.snapshot()["services"][0]["state"] == "degraded"
    assert bench.alerts() == []
    bench.look(10)
    assert bench.alerts() == [("backend", "wrong")]
    assert bench.snapshot()["alerts"] == ["backend"]
    bench.set("backend", 200)
    bench.look(10)
    assert bench.alerts() == [("backend", "wrong"), ("backend", "back")]
    line = bench.lines()[0]
    assert {key: line[key] for key in ("caller", "role", "verb", "verdict", "result")} == {
        "caller": "watch",
        "role": "monitor",
        "verb": "alert",
        "verdict": "allowed",
        "result": 0,
    }
    assert line["alert"]["state"] == "degraded"
    assert line["alert"]["detail"].startswith("http at 127.0.0.1:")
    assert "HTTP 503" in line["alert"]["detail"]
    assert not chain.verify(bench.folder / "ssh-monitor.jsonl", None).problems
    assert [(alert.service, alert.kind) for alert in bench.post.alerts] == bench.alerts()
    states = [change.state for change in Reader(bench.history).changes("backend", 0, 10)]
    assert states == ["up", "degraded", "up"]


def test_a_new_watch_goes_on_where_the_last_one_was(bench: Bench) -> None:
    bench.look()
    bench.set("backend", 503)
    bench.look(3)
    since = bench.snapshot()["services"][0]["since"]
    bench.watch = bench.started()
    bench.look(5)
    assert bench.alerts() == [("backend", "wrong")]
    assert bench.snapshot()["services"][0]["since"] == pytest.approx(since)
    bench.set("backend", 200)
    bench.watch = bench.started()
    bench.look(5)
    assert bench.alerts() == [("backend", "wrong"), ("backend", "back")]
    assert [alert.kind for alert in bench.post.alerts] == ["wrong", "back"]


@pytest.mark.parametrize("written", [False, True])
def test_an_alert_that_a_killed_watch_left_is_told_exactly_once(bench: Bench, written: bool) -> None:
    """Killed before the audit line, and between it and the note that it is written."""
    bench.look()
    bench.set("backend", 503)
    bench.look(3)
    alert = bench.post.alerts[0]._replace(id="feedfacefeedface", time=bench.now, service="frontend")
    history = History(bench.history)
    history.add_alert(alert)
    history.close()
    if written:
        AuditLog(bench.folder / "ssh-monitor.jsonl").append(bench.watch._line(alert))
    bench.watch = bench.started()
    bench.look(2)
    ids = [line["alert"]["id"] for line in bench.lines()]
    assert ids.count("feedfacefeedface") == 1
    assert [sent.id for sent in bench.post.alerts].count("feedfacefeedface") == 1
    bench.watch = bench.started()
    bench.look(2)
    assert [line["alert"]["id"] for line in bench.lines()].count("feedfacefeedface") == 1


def test_what_was_left_long_ago_stands_in_the_audit_and_is_not_sent(bench: Bench) -> None:
    bench.look()
    history = History(bench.history)
    history.add_alert(Alert("feedfacefeedface", bench.now - 3600, "backend", "wrong", "down", ""))
    history.close()
    bench.watch = bench.started()
    bench.look()
    assert "feedfacefeedface" in {line["alert"]["id"] for line in bench.lines()}
    assert bench.post.alerts == []


def test_while_the_platform_starts_nobody_is_told(bench: Bench) -> None:
    bench.set("backend", 503)
    bench.age = 1.0
    bench.look(5)
    assert bench.alerts() == []
    bench.age = STARTING
    bench.look()
    assert bench.alerts() == [("backend", "wrong")]


def test_a_fluttering_service_says_so_in_its_next_alert(bench: Bench) -> None:
    for _turn in range(10):
        bench.set("backend", 503)
        bench.look(3)
        bench.set("backend", 200)
        bench.look(3)
    assert len(bench.alerts()) == 2
    bench.now += 600
    bench.set("backend", 503)
    bench.look(2)
    assert bench.alerts()[2:] == [("backend", "wrong")]
    assert bench.lines()[-1]["alert"]["detail"].endswith("(it changed 10 times since the last alert)")


def test_where_nothing_answers_that_is_one_alert_and_not_one_for_each(bench: Bench) -> None:
    """As on a machine that is so busy that every answer is late."""
    bench.look(2)
    targets = bench.services.configuration["targets"]
    ports = [target["port"] for target in targets]
    for target in targets:
        target["port"] = 1  # nobody listens there
    bench.services.write()
    bench.look(5)
    assert bench.alerts() == [("platform", "wrong")]
    assert bench.snapshot()["alerts"] == ["platform"]
    assert "none of 2 services answers" in bench.post.alerts[0].detail
    assert {service["state"] for service in bench.snapshot()["services"]} == {"down"}
    targets[0]["port"] = ports[0]
    bench.services.write()
    bench.look(5)
    assert bench.alerts()[1:] == [("platform", "back"), ("frontend", "wrong")]


def test_what_the_poll_says_of_origin_and_deploys_is_told_like_a_service(bench: Bench) -> None:
    def says(origin: str, deploy: str) -> None:
        entries = {"origin": origin, "deploy": deploy}
        snapshot.write(
            bench.folder / "poll.json",
            {name: {"wrong": bool(text), "detail": text} for name, text in entries.items()},
        )

    says("", "")
    bench.look(3)
    assert bench.alerts() == []
    says("git:app.git cannot be read", "0123456789ab of main was not deployed: its tests fail")
    bench.look(5)
    assert bench.alerts() == [("origin", "wrong"), ("deploy", "wrong")]
    assert [alert.detail for alert in bench.post.alerts] == [
        "git:app.git cannot be read",
        "0123456789ab of main was not deployed: its tests fail",
    ]
    seen = bench.snapshot()
    assert seen["alerts"] == ["deploy", "origin"]
    assert {service["service"] for service in seen["services"]} == {"backend", "frontend"}
    (bench.folder / "poll.json").unlink()
    bench.look(3)
    assert len(bench.alerts()) == 2
    says("", "")
    bench.look(3)
    assert bench.alerts()[2:] == [("origin", "back"), ("deploy", "back")]


def test_an_audit_log_that_cannot_be_written_is_made_up_for(bench: Bench) -> None:
    bench.look()
    path = bench.folder / "ssh-monitor.jsonl"
    path.mkdir()
    bench.set("backend", 503)
    bench.look(5)
    assert {said["event"] for said in bench.said} == {"audit"}
    assert bench.post.alerts == []
    path.rmdir()
    bench.look(2)
    assert bench.alerts() == [("backend", "wrong")]
    assert len(bench.post.alerts) == 1


def test_a_damaged_history_is_told_once_and_a_new_one_begins(bench: Bench) -> None:
    bench.look(2)
    bench.watch._history.close()  # type: ignore[union-attr]
    bench.history.write_bytes(b"nonsense" * 1000)
    bench.watch = bench.started()
    assert bench.look(3) == []
    [said] = bench.said
    assert said["event"] == "history"
    assert "is damaged" in said["problem"]
    assert [change.state for change in Reader(bench.history).changes("backend", 0, 10)] == ["up"]


def test_without_a_history_it_still_looks_and_tells_and_uses_it_when_it_can(bench: Bench) -> None:
    bench.history.mkdir()
    bench.set("backend", 503)
    assert bench.look(5) == []
    assert [said["event"] for said in bench.said] == ["history"]
    assert "cannot be used" in bench.snapshot()["problem"]
    assert bench.alerts() == [("backend", "wrong")]
    bench.history.rmdir()
    bench.look(10)
    assert bench.snapshot()["problem"] == ""
    assert bench.history.is_file()


def test_every_five_minutes_there_is_a_sample(bench: Bench) -> None:
    looks = round(SAMPLE / 5)
    bench.look(5)
    bench.set("backend", 503)
    bench.look(looks)
    assert Reader(bench.history).part_up("backend", 0) == pytest.approx(5 / looks, abs=0.02)
    assert Reader(bench.history).part_up("frontend", 0) == 1
    assert bench.sampled == 1


def test_a_damaged_configuration_makes_the_container_unhealthy(bench: Bench) -> None:
    bench.services.file.write_text("{")
    [problem] = bench.look()
    assert problem.endswith("run site.yml again")


def test_the_containers_age_is_that_of_its_first_process() -> None:
    assert 0 <= container_age() <= time.clock_gettime(time.CLOCK_BOOTTIME)


# As a process ---------------------------------------------------------------------------------------------------------


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_at_random_moments_it_never_tells_twice_and_never_loses_an_alert(bench: Bench) -> None:
    """The real process, with all the memory that it may have; each failure lasts until it has been told."""
    for number in range(20):
        bench.services.ssh(f"ssh-{number}")
    source = (
        "import sys; from pathlib import Path; from ansible_collections.dockfra.core.tests.unit import watching; "
        "sys.exit(watching.main(Path(sys.argv[1]), 0.02))"
    )
    pick = random.Random(5)
    expected: list[tuple[str, str]] = []
    process: subprocess.Popen[bytes] | None = None

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", source, str(bench.folder)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS)},
            stdout=subprocess.DEVNULL,
        )

    try:
        for service in ("backend", "frontend"):
            for status, kind in ((503, "wrong"), (200, "back")):
                bench.set(service, status)
                expected.append((service, kind))
                for _kill in range(3):
                    process = start()
                    time.sleep(pick.uniform(0.2, 0.7))
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                process = start()
                eventually(lambda: len(bench.alerts()) >= len(expected))
                process.kill()
                process.wait()
                assert bench.alerts() == expected
    finally:
        if process is not None:
            process.kill()
    assert not chain.verify(bench.folder / "ssh-monitor.jsonl", None).problems
    seen = json.loads((bench.folder / "watch.json").read_text())
    assert len(seen["services"]) == 22


def test_what_others_ask_for_is_told_once_also_after_a_kill(bench: Bench) -> None:
    alert = Alert(
        "00000007-aaaaaaaaaaaa", bench.now, "frontend", "wrong", "degraded", "the autopilot says: x"
    )
    requests.put(bench.folder / "asked", alert)
    requests.put(bench.folder / "asked", alert)
    # Whoever asks has named it in a line of their own.
    asked = {"verb": "request-alert", "arguments": ["frontend", "disk-full", f"--id={alert.id}"]}
    AuditLog(bench.folder / "ssh-monitor.jsonl").append(asked)
    bench.look(2)
    assert bench.alerts() == [("frontend", "wrong")]
    assert bench.post.alerts == [alert]
    requests.put(bench.folder / "asked", alert)  # asked again
    bench.look()
    # A daemon that was killed has written the line, and not yet that it is told.
    (bench.folder / "asked" / f"{alert.id}.told").rename(bench.folder / "asked" / f"{alert.id}.json")
    bench.watch = bench.started()
    bench.look(2)
    assert bench.alerts() == [("frontend", "wrong")]
    assert bench.post.alerts[1:] in ([], [alert])
    assert [path.suffix for path in (bench.folder / "asked").iterdir()] == [".told"]


def test_what_waits_to_be_told_is_bounded_and_what_is_no_alert_is_removed(tmp_path: Path) -> None:
    for text in ("", "[]", "[" * 9999, '["x", "y", 1, 2, 3, 4]', '["b", 1, "s", "wrong", "down", "x"]'):
        (tmp_path / "a.json").write_text(text)
        assert requests.waiting(tmp_path) == []
        assert list(tmp_path.iterdir()) == []
    for number in range(requests.MOST):
        requests.put(tmp_path, Alert(f"{number}", float(number), "web", "wrong", "down", "x"))
    with pytest.raises(BusyError, match="wait to be told already"):
        requests.put(tmp_path, Alert("more", 1.0, "web", "wrong", "down", "x"))
    assert [alert.time for alert in requests.waiting(tmp_path)] == [float(n) for n in range(requests.MOST)]
