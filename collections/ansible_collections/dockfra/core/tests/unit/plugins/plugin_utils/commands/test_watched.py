# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``status`` shows of what the watch saw, ``--now``, ``--history`` and ``--watch``; and releases, as ``verify`` checks them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.watch import snapshot
from ansible_collections.dockfra.core.plugins.module_utils.watch.history import Change, History, Sample
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import (
    bastions,
    fleets,
    health,
    runner,
    watched,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import verify
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Deploy, Ledger
from ansible_collections.dockfra.core.tests.unit.fake_services import FakeServices
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

RELEASE, OTHER = "20261125T131500Z-0123456789ab", "20261124T131500Z-ba9876543210"
HOLDER = "monitor since 2026-11-25 22:00:00 (pid 7: deploy)"
POLICY = Policy(
    {},
    {
        "status": {"at": {"monitor": ["monitor", "manager"]}},
        "verify": {"at": {"monitor": ["monitor"]}},
        "release-status": {"on_path": False, "at": {"ssh-backend": ["monitor"], "ssh-frontend": ["monitor"]}},
        "device-status": {"on_path": False, "at": {"ssh-rpi3": ["monitor"]}},
    },
)
SERVICES = {name: name for name in ("ssh-backend", "ssh-frontend", "ssh-rpi3")} | {"monitor": "ssh-monitor"}
PLACE = Place("monitor", "ssh-monitor", POLICY, SERVICES)

SSH = """#!/bin/sh
# ssh OPTIONS -- SERVICE LINE: what the service says lies in a file.
while [ "$1" != -- ]; do shift; done
[ -e "{folder}/$2.slow" ] && exec sleep 30
[ -e "{folder}/$2" ] && cat "{folder}/$2" && exit 0
echo "ssh: connect to host $2 port 2222: Connection refused" >&2
exit 255
"""


class Monitor:
    """A monitor's container in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = FakeServices(folder)
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"
        ssh.write_text(SSH.format(folder=folder / "bin"))
        ssh.chmod(0o755)

    def status(self, *words: str, command: str = "status") -> runner.Outcome:
        return runner.run(PLACE, "monitor", [command, *words], io.BytesIO(), Style())

    def data(self, *words: str, command: str = "status") -> dict[str, Any]:
        outcome = self.status("--json", *words, command=command)
        found: dict[str, Any] = json.loads(outcome.text)
        return found

    def saw(self, age: float = 0.0, **more: Any) -> None:
        """What the watch wrote down."""
        probe = {"port": "http", "address": "x:1", "state": "down", "detail": "gone", "milliseconds": 1}
        services = [{"service": "backend", "state": "down", "probes": [probe], "since": time.time() - 60}]
        path = self.folder / watched.SNAPSHOT
        nothing: dict[str, Any] = {"alerts": [], "releases": [], "devices": []}
        snapshot.write(path, {**nothing, "services": services, "problem": "", **more})
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "boottime": data["boottime"] - age}))

    def says(self, bastion: str, *entries: dict[str, Any]) -> None:
        """What a bastion answers."""
        full = [
            {"running": "", "current": "", "previous": "", "holder": None, "problem": "", **each}
            for each in entries
        ]
        (self.folder / "bin" / bastion).write_text(json.dumps(full))


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    found = Monitor(tmp_path)
    monkeypatch.setattr(health, "CONFIGURATION", found.services.file)
    monkeypatch.setattr(watched, "RUN", tmp_path)
    monkeypatch.setattr(watched, "HISTORY", tmp_path / "history.sqlite")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LOGS", "COPIES"):
        monkeypatch.setattr(verify, name, tmp_path / "logs")
    monkeypatch.setattr(verify, "KNOWN_HOSTS", tmp_path / "known_hosts")
    (tmp_path / "known_hosts").write_text("")
    (tmp_path / "logs").mkdir()
    found.says("ssh-rpi3")
    yield found
    found.services.close()


# What the watch saw ---------------------------------------------------------------------------------------------------


def test_a_fresh_snapshot_is_shown_with_its_age_and_nobody_is_asked(monitor: Monitor) -> None:
    monitor.services.http("backend", {"/health": 200})
    monitor.saw(age=4)
    data = monitor.data()
    assert (data["by"], data["age"]) == ("watch", pytest.approx(4, abs=1))
    assert [service["state"] for service in data["services"]] == ["down"]
    outcome = monitor.status()
    assert outcome.status == 1
    lines = outcome.text.splitlines()
    assert re.fullmatch(r"Seen [45] s ago by the watch; 'status --now' asks now\.", lines[0])
    assert lines[-1] == "0 of 1 services are up; down: backend"


@pytest.mark.parametrize("words", [(), ("--now",)])
def test_services_are_asked_without_a_fresh_snapshot_and_when_that_is_wanted(
    monitor: Monitor, words: tuple[str, ...]
) -> None:
    monitor.services.http("backend", {"/health": 200})
    monitor.saw(age=0 if words else watched.FRESH + 1)
    data = monitor.data(*words)
    assert (data["by"], data["age"]) == ("status", 0.0)
    assert [service["state"] for service in data["services"]] == ["up"]
    assert monitor.status(*words).text.splitlines()[0].split()[0] == "SERVICE"


def test_releases_their_age_and_who_holds_them_are_shown(monitor: Monitor) -> None:
    monitor.says(
        "ssh-backend",
        {"service": "backend", "running": RELEASE, "current": RELEASE, "holder": {"line": HOLDER}},
    )
    monitor.says("ssh-frontend", {"service": "frontend"})
    monitor.saw(
        releases=bastions.ask(PLACE), problem="1 of 2 addresses of ALERT_URLS did not take the last alert"
    )
    text = monitor.status().text
    assert re.search(rf"^backend +{RELEASE} +\d+ (d|h|min|s) +held by monitor since 2026", text, re.MULTILINE)
    assert re.search(r"^frontend +its image's +-$", text, re.MULTILINE)
    assert text.splitlines()[1] == "1 of 2 addresses of ALERT_URLS did not take the last alert"
    [backend, frontend] = monitor.data()["releases"]
    assert {key: backend[key] for key in ("bastion", "service", "running", "held")} == {
        "bastion": "ssh-backend",
        "service": "backend",
        "running": RELEASE,
        "held": HOLDER,
    }
    assert (frontend["running"], frontend["made"]) == ("", None)


def test_a_bastion_that_cannot_be_asked_has_its_reason_and_a_frozen_one_its_time(monitor: Monitor) -> None:
    (monitor.folder / "bin" / "ssh-frontend.slow").touch()
    begin = time.monotonic()
    found = bastions.ask(PLACE, timeout=0.5)
    assert time.monotonic() - begin < 10
    assert [(entry["bastion"], entry["service"], entry["running"]) for entry in found] == [
        ("ssh-backend", "", None),
        ("ssh-frontend", "", None),
    ]
    assert "Connection refused" in found[0]["problem"]
    assert "did not end release-status within 0.5 s" in found[1]["problem"]


def test_devices_and_which_of_them_are_behind_are_shown(monitor: Monitor) -> None:
    served = [bastions.checked({"service": "app", "running": RELEASE, "current": RELEASE})]
    monitor.says(
        "ssh-rpi3",
        {"device": "one", "service": "app", "current": RELEASE, "proven": True, "free": 3 << 30},
        {"device": "two", "service": "app", "current": OTHER, "proven": True, "free": 5 << 20},
        {"device": "new", "service": "app", "current": RELEASE, "proven": False},
        {"device": "off", "service": "app", "current": "", "problem": "off does not answer"},
        {"device": "bad", "service": "app", "current": "../etc", "proven": 1, "free": -1},
    )
    found = fleets.compared(fleets.ask(PLACE), served)
    monitor.saw(devices=found)
    rows = [re.split("  +", line) for line in monitor.status().text.splitlines()]
    for row in (
        ["one", RELEASE, "3072 MiB"],
        ["two", OTHER, "5 MiB", f"is behind: app serves {RELEASE}"],
        ["new", RELEASE, "-", "nobody knows yet whether it is well"],
        ["off", "unknown", "-", "off does not answer"],
        ["bad", "unknown", "-", f"is behind: app serves {RELEASE}"],
    ):
        assert row in rows
    assert [entry["wanted"] for entry in monitor.data()["devices"]] == [RELEASE] * 5
    # While the service changes, nobody can tell.
    held = [{**served[0], "held": HOLDER}]
    assert [entry["problem"] for entry in fleets.compared(found[:1], held)] == [""]


def test_a_bastion_whose_devices_cannot_be_asked_has_its_reason(monitor: Monitor) -> None:
    (monitor.folder / "bin" / "ssh-rpi3").unlink()
    [found] = fleets.compared(fleets.ask(PLACE), [])
    assert (found["bastion"], found["device"], found["current"]) == ("ssh-rpi3", "", None)
    assert "Connection refused" in found["problem"]
    monitor.saw(devices=[found])
    assert re.search("^ssh-rpi3 +unknown +-", monitor.status().text, re.MULTILINE)


@pytest.mark.parametrize(
    "said",
    [
        "5",
        '{"service": 1}',
        '["backend", 5]',
        '[{"service": 5, "running": ["x"], "holder": "me", "problem": {}}]',
        '[{"service": "b\\u001b[31m", "running": "../../etc", "holder": {"line": 7}}]',
    ],
)
def test_what_a_bastion_should_not_say_is_not_believed(monitor: Monitor, said: str) -> None:
    (monitor.folder / "bin" / "ssh-backend").write_text(said)
    monitor.says("ssh-frontend")
    found = bastions.ask(PLACE)
    assert all((entry["running"], entry["current"], entry["held"]) == (None, None, "") for entry in found)
    monitor.saw(releases=found)
    assert monitor.status().status == 1


def test_bastions_are_asked_again_when_something_changed(tmp_path: Path) -> None:
    asked: list[float] = []

    def ask(_place: Place) -> list[dict[str, Any]]:
        asked.append(time.monotonic())
        return [{"number": len(asked)}]

    found = bastions.Bastions(
        PLACE, (tmp_path / "cleaned", tmp_path / "deploys.json"), ask, period=60, look=0.01
    )
    deadline = time.monotonic() + 10
    for number in (1, 2, 3):
        while [dict(entry) for entry in found.latest()] != [{"number": number}]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)  # and not once more
        assert [dict(entry) for entry in found.latest()] == [{"number": number}]
        # Whole at once, as it is written.
        (tmp_path / "new").write_text(str(number))
        (tmp_path / "new").rename(tmp_path / "deploys.json")


def test_the_last_deploys_are_shown_without_what_only_the_ledger_needs(monitor: Monitor) -> None:
    notes = Ledger(monitor.folder / ".local" / "state" / "dockfra" / "deploys.json")
    for number in range(7):
        commit = f"{number}" * 40
        deploy = Deploy(
            "backend", ("backend",), commit, RELEASE, "monitor (poll)", time.time() - 600, tickets=("T-0001",)
        )
        notes.end(
            notes.begin(deploy), "failed" if number == 6 else "deployed", "its tests fail" * (number == 6)
        )
    monitor.saw()
    found = monitor.data()["deploys"]
    assert [entry["commit"][0] for entry in found] == ["6", "5", "4", "3", "2"]
    assert not {"process", "told"} & set(found[0])
    text = monitor.status().text
    assert re.search(
        r"^backend +failed +666666666666 +10 min ago +monitor \(poll\) +its tests fail$", text, re.MULTILINE
    )
    (monitor.folder / ".local" / "state" / "dockfra" / "deploys.json").write_text("{")
    data = monitor.data()
    assert data["deploys"] == []
    assert "deploys.json cannot be read" in data["problem"]


def test_what_the_poll_waits_for_is_said(monitor: Monitor) -> None:
    monitor.saw()
    well = {"wrong": False, "detail": ""}
    poll = {
        "commit": "a" * 40,
        "settled": "",
        "deploying": "",
        "automatic": True,
        "origin": well,
        "deploy": well,
    }
    for change, said in (
        ({"automatic": False}, "aaaaaaaaaaaa of main waits for 'deploy-all': MONITOR_AUTO_DEPLOY is off."),
        ({"deploying": "b" * 40}, "bbbbbbbbbbbb of main is being deployed."),
        ({"origin": {"wrong": True, "detail": "git:app.git cannot be read"}}, "git:app.git cannot be read"),
    ):
        snapshot.write(monitor.folder / watched.POLLED, {**poll, **change})
        assert said in monitor.status().text.splitlines()
    snapshot.write(monitor.folder / watched.POLLED, {**poll, "settled": "a" * 40})
    assert "main" not in monitor.status().text
    assert monitor.data()["poll"]["settled"] == "a" * 40


# The history ----------------------------------------------------------------------------------------------------------


def test_the_history_of_a_service_is_shown_with_what_it_was_before(monitor: Monitor) -> None:
    monitor.services.http("backend", {"/health": 200})
    now = time.time()
    history = History(monitor.folder / "history.sqlite")
    history.add(
        [
            Change(now - 90_000, "backend", "up", ""),
            Change(now - 60, "backend", "down", "http at x: refused"),
        ],
        [Sample("backend", now - 30, 60, 45, 5)],
    )
    history.close()
    outcome = monitor.status("--history", "backend")
    assert outcome.status == 0
    lines = [line.split() for line in outcome.text.splitlines()]
    assert [line[2] for line in lines[1:3]] == ["up", "down"]
    assert outcome.text.splitlines()[-1] == "backend was up in 75.00% of the looks within 24 h"
    data = monitor.data("--history", "backend", "--hours", "0.5")
    assert [change["state"] for change in data["changes"]] == ["up", "down"]
    assert data["up"] == 0.75


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--history", "nobody"), "there is no service 'nobody'; there are backend"),
        (("--history", "backend", "--hours", "0"), "must be a number of hours up to 720"),
        (("--history", "backend", "--hours", "nan"), "must be a number of hours up to 720"),
        (("--history", "backend", "--watch"), "--history is shown once"),
        (("--watch",), "--watch needs a terminal"),
        (("--watch", "0"), "must be a number of seconds from 1 to 3600"),
        (("--watch", "--json"), "--watch needs a terminal"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(
    monitor: Monitor, words: tuple[str, ...], message: str
) -> None:
    monitor.services.http("backend", {"/health": 200})
    outcome = monitor.status(*words)
    assert (outcome.status, outcome.text) == (2, "")
    assert message in outcome.message


def test_without_a_history_that_is_said(monitor: Monitor) -> None:
    monitor.services.http("backend", {"/health": 200})
    outcome = monitor.status("--history", "backend")
    assert outcome.status == 1
    assert outcome.message.startswith(f"status: The history {monitor.folder}/history.sqlite cannot be read")


# --watch --------------------------------------------------------------------------------------------------------------

PROGRAM = """
    import sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import health, output, runner, signals, watched
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
    from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy

    folder = Path(sys.argv[1])
    health.CONFIGURATION, watched.RUN = folder / "targets.json", folder
    signals.install()
    place = Place("monitor", "ssh-monitor", Policy({}, {"status": {"at": {"monitor": ["monitor"]}}}), {})
    outcome = runner.run(place, "monitor", ["status", "--now", "--watch", "1"], sys.stdin.buffer, Style.of(sys.stdout), True)
    sys.exit(runner.show(outcome))
"""


def test_on_a_terminal_it_is_drawn_again_until_ctrl_c_which_is_no_failure(monitor: Monitor) -> None:
    pages: dict[str, int | str] = {"/health": 200}
    monitor.services.http("backend", pages)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(monitor.folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        seen = until(ours, "1 of 1 services are up")
        assert seen.startswith("\033[2J\033[H")
        assert "status, every 1 s;" in seen
        pages["/health"] = 503
        seen = until(ours, "0 of 1 services are up; degraded: backend")
        assert "\033[2J" not in seen
        assert seen.count("\033[H") >= 1
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        os.close(ours)


def until(terminal: int, text: str) -> str:
    """Read a terminal until it shows a text."""
    seen, deadline = "", time.monotonic() + 20
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096).decode()
    return seen


# Releases, as verify sees them ----------------------------------------------------------------------------------------


def problems(monitor: Monitor) -> list[str]:
    found: list[str] = monitor.data(command="verify")["problems"]
    return found


def serve(monitor: Monitor, header: str) -> None:
    monitor.services.http("backend", {"/health": f"200 OK\r\n{header}"})
    monitor.says("ssh-frontend")


def test_a_service_runs_what_its_bastion_says_and_answers_so(monitor: Monitor) -> None:
    serve(monitor, f"X-Release: {RELEASE}\r\nX: ")
    monitor.says("ssh-backend", {"service": "backend", "running": RELEASE, "current": RELEASE})
    data = monitor.data(command="verify")
    assert data["problems"] == []
    assert [
        (check["service"], check["detail"]) for check in data["checks"] if check["check"] == "release"
    ] == [("backend", f"{RELEASE}, as ssh-backend says")]


def test_what_its_image_brought_has_no_header(monitor: Monitor) -> None:
    serve(monitor, "X: ")
    monitor.says("ssh-backend", {"service": "backend"})
    assert problems(monitor) == []


@pytest.mark.parametrize(
    ("header", "said", "problem"),
    [
        (RELEASE, {"running": RELEASE, "current": OTHER}, f"runs {RELEASE}, and ssh-backend says {OTHER};"),
        (
            OTHER,
            {"running": RELEASE, "current": RELEASE},
            f"answers /health as {OTHER}, and ssh-backend says",
        ),
        ("", {"running": RELEASE, "current": RELEASE}, "answers /health as what its image brought, and"),
        (RELEASE, {}, f"answers /health as {RELEASE}, and ssh-backend says what its image brought"),
        (RELEASE, {"running": None, "current": RELEASE}, "runs nobody knows what, and"),
        (RELEASE, {"problem": "its report is damaged"}, "its report is damaged"),
    ],
)
def test_a_service_that_runs_something_else_is_a_problem(
    monitor: Monitor, header: str, said: dict[str, Any], problem: str
) -> None:
    serve(monitor, f"X-Release: {header}\r\nX: ")
    monitor.says("ssh-backend", {"service": "backend", **said})
    [found] = problems(monitor)
    assert found.startswith(f"backend: release: {problem}")


def test_while_it_changes_nobody_can_tell(monitor: Monitor) -> None:
    serve(monitor, f"X-Release: {RELEASE}\r\nX: ")
    monitor.says("ssh-backend", {"service": "backend", "current": OTHER, "holder": {"line": HOLDER}})
    assert problems(monitor) == []


def test_a_bastion_that_cannot_be_reached_is_a_problem(monitor: Monitor) -> None:
    serve(monitor, "X: ")
    [found] = problems(monitor)
    assert found.startswith("ssh-backend: release: ")
    assert "Connection refused" in found
