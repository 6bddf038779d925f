"""The monitor's watch and its poll: what they see, whom they tell, and that they heal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.support.platform import Platform, eventually

LOG = "/shared/logs/audit/ssh-monitor.jsonl"
# One is stopped, and none of them by a test before this one: an alert holds further ones back for ten minutes.
CANDIDATES = ("vnc-rpi3", "mobile-backend", "desktop-app")

HOLD = 605.0

# Takes one alert after the other, in the monitor's own container.
RECEIVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/tmp/alerts", "ab") as file:
            file.write(self.path.encode() + b" " + body + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8999), Handler).serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def well(platform: Platform) -> Iterator[None]:
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "the monitor sees all up", 90)
    yield
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "all is up again", 90)


def status(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(platform.ssh("monitor", "status", "--json").stdout)
    return found


def state(platform: Platform, service: str) -> str:
    found = {entry["service"]: str(entry["state"]) for entry in status(platform)["services"]}
    return found[service]


def alerts(platform: Platform, name: str, since: float = 0.0) -> list[str]:
    """The alerts of a service in the audit log, one word for each."""
    lines = platform.run("ssh-monitor", "cat", LOG).stdout.splitlines()
    found = [json.loads(line)["alert"] for line in lines if '"alert"' in line]
    return [str(alert["kind"]) for alert in found if alert["service"] == name and alert["time"] >= since]


def not_told_of_lately(platform: Platform) -> str:
    """A service of which the next failure is told at once: a loaded machine may have made others fail."""

    def found() -> list[str]:
        return [name for name in CANDIDATES if not alerts(platform, name, time.time() - HOLD)]

    eventually(lambda: bool(found()), "one has had no alert for ten minutes", HOLD + 30)
    return found()[0]


def daemon(platform: Platform, name: str) -> str:
    """The process of a daemon, an empty text while there is none."""
    return platform.run("ssh-monitor", "pgrep", "-f", f"^[^ ]*python3 .*/daemon {name}$").stdout.strip()


@contextmanager
def settings(platform: Platform, **values: str) -> Iterator[None]:
    """Settings of the monitor, as the manager sets them; secrets come on the input."""
    try:
        for name, value in values.items():
            done = platform.ssh("manager", f"config-monitor {name}", text=value)
            assert done.returncode == 0, done.stderr
        yield
    finally:
        for name in values:
            assert platform.ssh("manager", f"config-monitor {name}=").returncode == 0


def test_status_shows_what_the_watch_saw_a_moment_ago_and_the_releases(platform: Platform) -> None:
    data = status(platform)
    assert (data["by"], data["age"] <= 15) == ("watch", True)
    released = {name for name, service in platform.topology.services.items() if service.release}
    eventually(lambda: len(status(platform)["releases"]) == len(released), "all bastions have been asked", 90)
    found = {entry["service"]: entry for entry in status(platform)["releases"]}
    assert set(found) == released
    assert all(entry["running"] == entry["current"] for entry in found.values())
    asked = json.loads(platform.ssh("monitor", "status", "--now", "--json").stdout)
    assert (asked["by"], asked["age"]) == ("status", 0.0)
    for place, command in (("manager", "status --json"), ("autopilot", "ssh ssh-monitor status --json")):
        told = json.loads(platform.ssh(place, command).stdout)
        assert {entry["service"] for entry in told["releases"]} == set(found), place


def test_what_stops_is_told_once_and_once_when_it_is_back_and_sent_where_it_should(
    platform: Platform,
) -> None:
    service, begin = not_told_of_lately(platform), time.time()
    receiver = platform.exec("ssh-monitor", "python3", "-c", RECEIVER)
    addresses = "json://127.0.0.1:8999/s3cret,http://backend:8081/api/s3cret"
    process = subprocess.Popen(receiver, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with settings(platform, ALERT_URLS=addresses):
            with platform.stopped(service):
                eventually(lambda: state(platform, service) == "down", "the watch sees it")
                eventually(lambda: alerts(platform, service, begin) == ["wrong"], "it is told")
                assert service in status(platform)["alerts"]
                time.sleep(12)
                assert alerts(platform, service, begin) == ["wrong"]
            eventually(lambda: alerts(platform, service, begin) == ["wrong", "back"], "it is back", 90)
            eventually(
                lambda: len(platform.run("ssh-monitor", "cat", "/tmp/alerts").stdout.splitlines()) >= 2,
                "both are sent",
                60,
            )
    finally:
        platform.run("ssh-monitor", "pkill", "-f", "http.server.HTTPServer")
        process.wait(20)
    got = platform.run("ssh-monitor", "cat", "/tmp/alerts").stdout
    platform.run("ssh-monitor", "rm", "/tmp/alerts")
    assert f"dockfra: {service} is down" in got
    assert f"dockfra: {service} is back" in got
    said = platform.container("ssh-monitor").logs(tail=400).decode()
    assert "address 2 of ALERT_URLS leads to a network of the platform itself" in said
    assert "s3cret" not in said
    assert "s3cret" not in platform.run("ssh-monitor", "cat", LOG).stdout
    history = json.loads(platform.ssh("monitor", f"status --history {service} --json").stdout)
    states = [change["state"] for change in history["changes"] if change["time"] > begin]
    # While it starts others may answer in its place that it does not yet.
    assert [known for known in states if known != "degraded"] == ["down", "up"]
    assert (states[0], states[-1]) == ("down", "up")


@pytest.mark.parametrize("name", ["watch", "poll"])
def test_one_that_is_killed_returns_and_no_session_notices(platform: Platform, name: str) -> None:
    session = subprocess.Popen(
        ["ssh", "-F", str(platform.state / "ssh_config"), "monitor", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert session.stdin is not None
    assert session.stdout is not None
    try:
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        before = daemon(platform, name)
        platform.run("ssh-monitor", "kill", "-KILL", before)
        eventually(lambda: daemon(platform, name) not in ("", before), "it is started anew", 20)
        eventually(lambda: status(platform)["age"] <= 6, "it looks again", 20)
        session.stdin.write(b"after\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"after\n"
    finally:
        session.kill()
        session.wait()
    assert platform.run("ssh-monitor", "/usr/local/bin/healthcheck").returncode == 0


def test_status_can_be_watched_on_a_terminal_and_only_there(platform: Platform) -> None:
    for words in ("status --watch", "verify --watch", "status --watch --json"):
        refused = platform.ssh("monitor", words)
        assert (refused.returncode, refused.stdout) == (2, ""), words
        assert "--watch needs a terminal" in refused.stderr
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["ssh", "-F", str(platform.state / "ssh_config"), "-tt", "monitor", "status --watch 1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        seen, deadline = "", time.monotonic() + 30
        while seen.count("services are up") < 2:
            assert time.monotonic() < deadline, seen
            if select.select([ours], [], [], 0.2)[0]:
                seen += os.read(ours, 65536).decode(errors="replace")
        os.write(ours, b"\x03")
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)


def test_an_origin_that_is_away_is_told_and_found_again_by_itself(platform: Platform) -> None:
    with settings(platform, MONITOR_POLL_INTERVAL="1"):
        eventually(lambda: bool((status(platform)["poll"] or {}).get("commit")), "main is known", 60)
        before = len(alerts(platform, "origin"))
        with platform.stopped("git"):
            eventually(
                lambda: bool(status(platform)["poll"]["origin"]["wrong"]), "the poll says that it is away", 60
            )
            told = platform.ssh("monitor", "status")
            assert "git:app.git cannot be read" in told.stdout
        eventually(lambda: not status(platform)["poll"]["origin"]["wrong"], "it is found again", 90)
        assert len(alerts(platform, "origin")) - before <= 2


def test_daemons_leave_no_dead_processes_behind(platform: Platform) -> None:
    """Whoever starts programs for days inherits what these leave."""
    with settings(platform, MONITOR_POLL_INTERVAL="1"):
        time.sleep(15)
    eventually(
        lambda: "Z" not in platform.run("ssh-monitor", "ps", "-eo", "stat=").stdout, "all are gone", 20
    )


@pytest.mark.slow
def test_what_the_watch_costs_while_nothing_happens(platform: Platform) -> None:
    """Of one core and in resident memory; the bench measures it without what else runs here."""

    def costs(name: str) -> tuple[float, float]:
        pid = daemon(platform, name)
        stat = platform.run("ssh-monitor", "cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()
        lines = platform.run("ssh-monitor", "cat", f"/proc/{pid}/status").stdout.splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK"), kib / 1024

    eventually(lambda: status(platform)["by"] == "watch", "it looks", 30)
    before = {name: costs(name) for name in ("watch", "poll")}
    time.sleep(30)
    for name, (seconds, _mib) in before.items():
        now, mib = costs(name)
        assert mib < 60, name
        # Twice the bar: other tests' load makes every switch of context dearer.
        assert (now - seconds) / 30 < 0.02, name
