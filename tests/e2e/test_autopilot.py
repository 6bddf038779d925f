"""The autopilot on the platform, by its rules: what it repairs and what it leaves to people, told by how the platform is in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE, as_role, data

# Seconds between two cycles here, and until a fault has ended in what it is to end in: the watch looks each 5 s, a fault counts after
# 10 s, and a restart is proved.
INTERVAL = 5
# Seconds after which something has not happened. The autopilot itself gives what it did 120 s to show, and a busy machine its cycles more.
SOON = 240.0

# What the autopilot and the monitor remember of earlier tests.
FORGET = {
    "autopilot": ".local/state/dockfra/autopilot",
    "monitor": " ".join(
        f".local/state/dockfra/{name}.json" for name in ("restarts", "rollbacks", "alerts", "deploys")
    ),
}


class Pilot:
    """The autopilot of the platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def set(self, **settings: object) -> None:
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        done = as_role(self.platform, "manager", f"config-autopilot {words}")
        assert done.returncode == 0, done.stderr

    def forget(self) -> None:
        for role, files in FORGET.items():
            script = f"cd /home/{role} && rm -rf {files}"
            assert self.platform.run(SERVICE[role], "sh", "-c", script).returncode == 0

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = data(as_role(self.platform, "manager", "pilot-log -n 1000 --json"))
        return found

    def did(self, verdict: str = "done") -> list[tuple[str, str]]:
        """Action and subject of all decisions with a verdict."""
        return [
            (entry["action"], next(iter(entry["parameters"].values())))
            for entry in self.log()
            if entry["verdict"] == verdict
        ]

    def tickets(self, service: str) -> list[str]:
        done = as_role(self.platform, "manager", f"ticket-list --label=autopilot --label={service} --json")
        return [ticket["id"] for ticket in data(done)["tickets"] if ticket["status"] != "closed"]


@pytest.fixture
def pilot(platform: Platform) -> Iterator[Pilot]:
    """Switched on for one test, with nothing behind it."""
    found = Pilot(platform)
    # What a test before this one has mended is not to be found again: the watch sees it with its next look.
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "the monitor sees all up")
    found.forget()
    found.set(AUTOPILOT_INTERVAL=INTERVAL, AUTOPILOT_MODE="act", AUTOPILOT_ENABLED="true")
    yield found
    found.set(AUTOPILOT_INTERVAL="", AUTOPILOT_MODE="", AUTOPILOT_ENABLED="false")
    for name in platform.names:
        if not runs(platform, name):
            platform.container(name).start()
    platform.wait_healthy(*platform.names)
    found.forget()


def runs(platform: Platform, service: str) -> bool:
    return bool(platform.container(service).attrs["State"]["Running"])


def eventually(
    check: Callable[[], bool], what: str, seconds: float = SOON, told: Callable[[], object] = str
) -> None:
    """Wait until a condition holds; ``told`` says what there is to know where it does not."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what} {told()}"
        time.sleep(1)


def test_what_was_stopped_runs_again_and_nothing_else_was_touched(pilot: Pilot) -> None:
    platform = pilot.platform
    before = platform.snapshot()
    platform.container("redis").kill()
    eventually(lambda: ("request-restart", "redis") in pilot.did(), "redis was not restarted")
    assert runs(platform, "redis")
    platform.wait_healthy("redis", "backend")
    assert pilot.did() == [("request-restart", "redis")]
    after = platform.snapshot()
    # What builds begins a new life after each build, by itself.
    builders = {f"container {platform.topology.container_name(name)}" for name in ("builder", "tester")}
    changed = {name for name in before if before[name] != after.get(name)} - builders
    assert changed == {f"container {platform.topology.container_name('redis')}"}
    [entry] = pilot.log()
    assert entry["before"]["fault"] == "stopped"
    assert entry["after"]["fault"] == "none"
    assert any(said.startswith("container/redis: exited") for said in entry["evidence"])


@pytest.mark.slow
def test_the_database_comes_first_and_its_dependants_are_not_restarted(pilot: Pilot) -> None:
    platform = pilot.platform
    since = {
        name: platform.container(name).attrs["State"]["StartedAt"] for name in ("backend", "mobile-backend")
    }
    platform.container("db").kill()
    eventually(lambda: ("request-restart", "db") in pilot.did(), "the database was not restarted")
    platform.wait_healthy("db", "backend", "mobile-backend")
    assert pilot.did() == [("request-restart", "db")]
    assert since == {name: platform.container(name).attrs["State"]["StartedAt"] for name in since}


def test_what_cannot_be_repaired_ends_in_one_ticket_and_one_alert(pilot: Pilot) -> None:
    """Off its network, frontend runs and is healthy, and nobody reaches it."""
    platform = pilot.platform
    since = platform.container("frontend").attrs["State"]["StartedAt"]
    networks = [
        platform.docker.networks.get(platform.topology.network_name(name))
        for name in ("frontend-net", "proxy-net")
    ]
    container = platform.container("frontend")
    kept = {
        network.name: container.attrs["NetworkSettings"]["Networks"][network.name]["Aliases"]
        for network in networks
    }
    for network in networks:
        network.disconnect(container)
    try:
        eventually(lambda: bool(pilot.tickets("frontend")), "there is no ticket", 180)
        eventually(lambda: any(name == "alert" for name, _about in pilot.did()), "there is no alert")
        time.sleep(4 * INTERVAL)
        assert len(pilot.tickets("frontend")) == 1
        assert sorted(name for name, _about in pilot.did()) == ["alert", "ticket-create"]
        shown = data(as_role(platform, "manager", f"ticket-show {pilot.tickets('frontend')[0]} --json"))
        assert "container/frontend: running" in shown["description"]
        assert platform.container("frontend").attrs["State"]["StartedAt"] == since
    finally:
        for network in networks:
            network.connect(container, aliases=kept[network.name])
        for ticket in pilot.tickets("frontend"):
            assert as_role(platform, "manager", f"ticket-update {ticket} --close").returncode == 0
        platform.wait_answering("frontend")


def test_what_waits_for_the_manager_is_done_after_a_yes_and_once(pilot: Pilot) -> None:
    platform = pilot.platform
    pilot.set(AUTOPILOT_MODE="approve")
    platform.container("redis").kill()

    def waiting() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = data(as_role(platform, "manager", "approvals --json"))["requests"]
        return found

    eventually(lambda: bool(waiting()), "nothing waits")
    assert not runs(platform, "redis")
    [request] = waiting()
    assert (request["action"], request["parameters"]) == ("request-restart", {"service": "redis"})
    for role in ("developer", "monitor", "autopilot"):
        assert as_role(platform, role, f"approve {request['id']}").returncode in (77, 127)
    assert as_role(platform, "manager", f"approve {request['id']}").returncode == 0
    eventually(lambda: runs(platform, "redis"), "redis was not restarted")
    eventually(lambda: pilot.did() == [("request-restart", "redis")], "it was not proved", told=pilot.log)
    assert waiting() == []


@pytest.mark.parametrize("how", [pytest.param("observe", marks=pytest.mark.slow), "pause"])
def test_watching_and_paused_it_changes_nothing(pilot: Pilot, how: str) -> None:
    platform = pilot.platform
    if how == "observe":
        pilot.set(AUTOPILOT_MODE="observe")
    else:
        assert as_role(platform, "autopilot", "pilot-pause --for 1h").returncode == 0
    platform.container("redis").kill()
    time.sleep(25 + 3 * INTERVAL)
    assert not runs(platform, "redis")
    assert pilot.did() == []
    if how == "pause":
        assert as_role(platform, "autopilot", "pilot-resume").returncode == 0
        eventually(lambda: runs(platform, "redis"), "it did not go on")


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_repeats_nothing(pilot: Pilot) -> None:
    platform = pilot.platform
    platform.container("redis").kill()
    script = "for each in /proc/[0-9]*; do tr '\\0' ' ' <$each/cmdline 2>/dev/null | grep -q 'daemon pilot$' && echo ${each#/proc/}; done"
    script = script.replace("daemon pilot$", "daemon pilot *$")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not pilot.log():
        time.sleep(0.2)
    for pid in platform.run("ssh-autopilot", "sh", "-c", script).stdout.split():
        platform.run("ssh-autopilot", "kill", "-KILL", pid)
    eventually(lambda: runs(platform, "redis"), "redis was not restarted", 200)
    eventually(
        lambda: all(entry["result"] != "begun, and not known to have ended" for entry in pilot.log()),
        "one is open",
    )
    restarts = [entry for entry in pilot.log() if entry["action"] == "request-restart"]
    assert len({entry["id"] for entry in restarts}) == len(restarts)
    counted = platform.run("ssh-monitor", "cat", "/home/monitor/.local/state/dockfra/restarts.json")
    assert len(json.loads(counted.stdout).get("redis", ())) <= len(restarts)
    left = platform.run(
        "ssh-autopilot",
        "sh",
        "-c",
        "ls /run/dockfra/pilot-runs; ps -e -o args | grep -c '[a]nsible-playbook'",
    )
    assert left.returncode in (0, 1)
