"""Releases on the device: what is pushed runs there, what does not work there is not used, and nobody but the bastion gets in."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.e2e.support.deploys import Team
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.runs import playbook

DEVICE = "rpi3"
PREPARE = "playbooks/devices/prepare.yml"
# The client's tests and its settling take longer than all else here.
QUICK = (
    "sed -i 's/^  command: .*/  command: [python, -c, pass]/' desktop-app/release.yml\n"
    "sed -i 's/^__version__ = .*/__version__ = \"{version}\"/' desktop-app/client/dockfra_status/__init__.py\n"
    "sed -i '/^raise SystemExit(7)$/d' desktop-app/client/dockfra_status/cli.py"
)


@pytest.fixture(scope="module")
def team(platform: Platform) -> Iterator[Team]:
    team = Team(platform)
    with team.own_code():
        try:
            yield team
        finally:
            done = team.monitor(f"ssh ssh-rpi3 device-switch {DEVICE} none")
            assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def first(team: Team) -> str:
    """A release that the device uses."""
    team.push("A client of its own", QUICK.format(version="1.1.0"))
    return str(team.deploy("deploy-rpi3")["release"])


def on_device(team: Team, command: str) -> subprocess.CompletedProcess[str]:
    return team.platform.run(DEVICE, "sh", "-c", f"cd /home/pi/releases && {command}")


def in_use(team: Team) -> str:
    return on_device(team, "readlink current").stdout.strip()


def test_what_is_pushed_runs_on_the_device(team: Team, first: str) -> None:
    assert in_use(team) == first
    said = on_device(team, "current/program --version")
    assert (said.returncode, said.stdout.split()[-1]) == (0, "1.1.0"), said.stderr
    # It is what everybody can download.
    url = team.platform.url("/artifacts/manifest.json")
    answer = requests.get(url, verify=str(team.platform.authority), timeout=10)
    assert answer.headers["X-Release"] == first
    machine = on_device(team, "uname -m").stdout.strip().replace("aarch64", "arm64")
    [entry] = [each for each in answer.json()["artifacts"] if each["architecture"] == machine]
    program = team.platform.run(DEVICE, "sha256sum", f"/home/pi/releases/{first}/program").stdout
    assert program.split()[0] == entry["sha256"]
    assert team.deploy("deploy-rpi3")["result"] == "unchanged"


@pytest.mark.slow
def test_the_monitor_knows_what_devices_use(team: Team, first: str) -> None:
    def seen() -> list[tuple[str, str, str]]:
        found = json.loads(team.monitor("status --json").stdout)["devices"]
        return [(entry["device"], entry["current"], entry["problem"]) for entry in found]

    eventually(lambda: seen() == [(DEVICE, first, "")], "the watch has asked for the device", 90)
    checks = json.loads(team.monitor("verify --json").stdout)["checks"]
    assert [check["ok"] for check in checks if check["check"] == "device"] == [True]


def test_the_device_tells_the_platform_how_it_is(team: Team, first: str) -> None:
    def told() -> dict[str, Any]:
        url, authority = team.platform.url("/api/devices"), str(team.platform.authority)
        listed = requests.get(url, verify=authority, timeout=10).json()
        return next((device for device in listed if device["name"] == DEVICE), {})

    eventually(lambda: told().get("release") == first, "the device has told it", 90)
    found = told()
    assert (found["kind"], found["version"]) == ("edge", "1.1.0")
    assert found["uptime"] > 0
    assert 0 <= found["disk_used"] <= 100
    # What it has for that is good for nothing else.
    token = on_device(team, "cat /etc/dockfra/rpi3/token").stdout.strip()
    answer = requests.put(
        team.platform.url("/api/devices/other"),
        json={"kind": "edge", "architecture": "arm64", "version": "1"},
        headers={"Authorization": f"Bearer {token}"},
        verify=str(team.platform.authority),
        timeout=10,
    )
    assert answer.status_code == 401


@pytest.mark.slow
def test_what_does_not_run_there_is_not_used(team: Team, first: str) -> None:
    commit = team.push(
        "A client that ends at once",
        QUICK.format(version="1.2.0")
        + "\nsed -i '1i raise SystemExit(7)' desktop-app/client/dockfra_status/cli.py",
    )
    done = team.monitor("deploy-rpi3")
    assert done.returncode == 1
    assert "its program ends with 7 there" in done.stderr
    assert f"1 of 1 devices are behind: {DEVICE} (uses {first})" in done.stderr
    assert in_use(team) == first
    automatic = team.deploy("deploy-rpi3 --automatic")
    assert (automatic["result"], automatic["commit"]) == ("unchanged", commit)
    assert team.deploy("rollback rpi3")["release"] == first
    assert in_use(team) == first


@pytest.mark.slow
def test_back_and_forth_with_a_restart_only_on_demand(team: Team, first: str) -> None:
    started = team.platform.container(DEVICE).attrs["State"]["StartedAt"]
    team.push("Better", QUICK.format(version="1.3.0"))
    second = str(team.deploy("deploy-rpi3")["release"])
    assert in_use(team) == second
    assert on_device(team, "readlink previous").stdout.strip() == first
    assert team.deploy("rollback rpi3")["release"] == first
    assert in_use(team) == first
    assert team.platform.container(DEVICE).attrs["State"]["StartedAt"] == started
    team.push("With a restart", QUICK.format(version="1.3.1"))
    third = str(team.deploy("deploy-rpi3 --reboot")["release"])
    assert in_use(team) == third
    assert team.platform.container(DEVICE).attrs["State"]["StartedAt"] != started


@pytest.mark.slow
def test_a_device_that_is_off_is_named_and_comes_later(team: Team, first: str) -> None:
    container = team.platform.container(DEVICE)
    team.push("While it is off", QUICK.format(version="1.4.0"))
    container.stop()
    try:
        done = team.monitor("deploy-rpi3")
        assert done.returncode == 1
        assert f"1 of 1 devices are behind: {DEVICE} (" in done.stderr
    finally:
        container.start()
    team.platform.wait_answering(DEVICE)
    later = team.deploy("deploy-rpi3")
    assert [entry["service"] for entry in later["services"]] == []
    assert in_use(team) == later["release"] != first


@pytest.mark.parametrize("role", ["manager", "autopilot", "developer", "monitor"])
def test_no_role_gets_to_the_device(platform: Platform, role: str) -> None:
    """By raw means: the device's own port, with the key of the role; only the monitor shares a network with it."""
    done = platform.ssh(role, f"ssh -o BatchMode=yes -o ConnectTimeout=5 -p 2222 pi@{DEVICE} id")
    assert done.returncode == 255
    assert "uid=" not in done.stdout


@pytest.mark.parametrize("role", ["manager", "autopilot", "developer"])
def test_nobody_else_has_the_bastions_commands(platform: Platform, role: str) -> None:
    done = platform.ssh(
        role, f"ssh -o BatchMode=yes -o ConnectTimeout=5 ssh-rpi3 device-switch {DEVICE} none"
    )
    assert done.returncode != 0


def test_the_bastion_runs_nothing_else_on_request(team: Team) -> None:
    done = team.monitor(f"ssh ssh-rpi3 {shlex.quote('device-switch $(id) none')}")
    assert (done.returncode, "uid=" in done.stderr) == (2, False)
    status = json.loads(team.monitor("ssh ssh-rpi3 device-status --json").stdout)
    assert [(entry["device"], entry["problem"]) for entry in status] == [(DEVICE, "")]


def test_the_device_is_prepared_once(platform: Platform) -> None:
    """Over SSH through the bastion, with the operator's key; the simulated device keeps its own supervisor and token."""
    healthy = "/home/pi/.dockfra/healthy"
    try:
        playbook(PREPARE, "-e", f"device={DEVICE}", name="prepare").ok()
        again = playbook(PREPARE, "-e", f"device={DEVICE}", "--diff", name="prepare-again").ok()
        assert (again.hosts, again.changed) == ({DEVICE}, 0)
        said = platform.run(DEVICE, healthy)
        assert (said.returncode, said.stdout.startswith("well, ")) == (0, True), said.stdout
        modes = platform.run(DEVICE, "stat", "-c", "%a %U %n", "/home/pi/releases", healthy)
        assert modes.stdout.splitlines() == ["755 pi /home/pi/releases", f"755 pi {healthy}"], modes.stderr
    finally:
        platform.run(DEVICE, "rm", "-f", healthy)


def test_what_is_missing_on_the_device_is_told_all_at_once(platform: Platform) -> None:
    wanted = {"rpi3_device_free": "900000g", "rpi3_device_total_memory": "900000g"}
    run = playbook(PREPARE, "-e", json.dumps({"device": DEVICE, **wanted}), name="prepare-refused")
    assert run.code != 0
    assert f"{DEVICE} cannot get releases yet: " in run.output
    assert "make room on its card; it has " in run.output


def test_the_operators_key_gets_through_to_the_device_and_to_nothing_else(platform: Platform) -> None:
    done = platform.ssh(DEVICE, "id -un")
    assert (done.returncode, done.stdout.strip()) == (0, "pi"), done.stderr
    hop = f"{platform.topology.project}-ssh-rpi3.forward"
    here = platform.ssh(hop, "id")
    assert (here.returncode, here.stdout) == (77, "")
    assert here.stderr.splitlines()[-1].startswith("denied: ")
    for place in (f"{DEVICE}:5900", f"{DEVICE}:22", "desktop-app:8083", "localhost:2222", "ssh-monitor:2222"):
        through = platform.ssh(hop, options=["-W", place])
        assert through.returncode != 0, place
        assert "administratively prohibited" in through.stderr, (place, through.stderr)
    # The same way with the monitor's key, which has a shell there.
    through = platform.ssh("ssh-rpi3", options=["-W", f"{DEVICE}:2222"])
    assert through.returncode != 0
    assert "administratively prohibited" in through.stderr


def test_the_monitors_key_is_nowhere_on_the_device(platform: Platform) -> None:
    def found(key: str) -> list[str]:
        public = (platform.state / "keys" / key / "id_ed25519.pub").read_text().split()[1]
        return platform.run(DEVICE, "grep", "-rlF", public, "/etc/dockfra", "/home/pi").stdout.splitlines()

    assert found("monitor") == []
    for key in ("ssh-rpi3", "operator", "vnc-rpi3"):
        assert found(key) == ["/etc/dockfra/ssh/authorized_keys"], key
