"""What the monitor sees of the platform, whom it tells, and that a log that was tampered with does not escape it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.support.platform import Platform, eventually, read_topology

TOPOLOGY = read_topology()
# A log that grows only when somebody calls this service.
AUDITED = "ssh-developer"
# On no network of the monitor's, which asks Docker for its health.
APART = "tester"
LOG = f"/shared/logs/audit/{AUDITED}.jsonl"


@pytest.fixture(scope="module", autouse=True)
def well(platform: Platform) -> Iterator[None]:
    """All is up at the beginning, and again at the end."""
    platform.wait_healthy(*platform.names)
    # The desktop is healthy before the tunnel to its device is up.
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "the monitor sees all up", 60)
    yield
    platform.wait_healthy(*platform.names)


def states(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.stderr == ""
    return {service["service"]: service["state"] for service in json.loads(done.stdout)["services"]}


def problems(platform: Platform) -> list[str]:
    done = platform.ssh("monitor", "verify --json")
    assert done.stderr == ""
    found: list[str] = json.loads(done.stdout)["problems"]
    assert done.returncode == int(bool(found))
    return found


@contextmanager
def changed_log(platform: Platform, program: str) -> Iterator[None]:
    """The audit log, rewritten by sed as its own service can, and as it was afterwards."""
    # A line of its own and one after it, whatever has been called so far.
    for _call in range(2):
        assert platform.ssh("manager", f"ssh {AUDITED} id").returncode == 0
    assert problems(platform) == []
    whole = platform.run(AUDITED, "cat", LOG).stdout
    assert len(whole.splitlines()) > 1
    lines = subprocess.run(["sed", program], input=whole, capture_output=True, text=True, check=True).stdout
    assert lines != whole
    assert platform.run(AUDITED, "/bin/sh", "-c", f"cat > {LOG}", text=lines).returncode == 0
    try:
        yield
    finally:
        assert platform.run(AUDITED, "/bin/sh", "-c", f"cat > {LOG}", text=whole).returncode == 0


# What works ----------------------------------------------------------------------------------------------------------


def test_every_service_is_shown_and_up(platform: Platform) -> None:
    done = platform.ssh("monitor", "status --json")
    assert states(done) == dict.fromkeys(TOPOLOGY.services, "up")
    assert done.returncode == 0
    asked = {
        (service["service"], probe["port"])
        for service in json.loads(done.stdout)["services"]
        for probe in service["probes"]
    }
    assert asked == {
        (service.name, port.name)
        for service in TOPOLOGY.services.values()
        for port in service.ports
        if port.networks and service.name != APART
    } | {(APART, "container")}


def test_people_see_a_table_without_colours_in_a_pipe(platform: Platform) -> None:
    done = platform.ssh("monitor", "status")
    assert (done.returncode, done.stderr) == (0, "")
    # Who reached a limit within the last minutes stands before them.
    *_rows, last = lines = done.stdout.rpartition("\n\n")[2].splitlines()
    assert lines[0].split() == ["SERVICE", "STATE", "PORT", "MS", "DETAIL"]
    assert last == f"{len(TOPOLOGY.services)} of {len(TOPOLOGY.services)} services are up"
    assert "\033" not in done.stdout


def test_verify_finds_all_well(platform: Platform) -> None:
    assert problems(platform) == []
    data = json.loads(platform.ssh("monitor", "verify --json").stdout)
    assert {log["service"] for log in data["audit"]} == {service.name for service in TOPOLOGY.audited()}
    keys = {check["service"] for check in data["checks"] if check["check"] == "host key"}
    assert keys == {
        service.name
        for service in TOPOLOGY.services.values()
        if service.name != "ssh-monitor" and any(port.name == "ssh" for port in service.ports)
    }
    routed = {
        service.name for service in TOPOLOGY.services.values() if service.variables.get("dockfra_routes")
    }
    assert {
        check["service"] for check in data["checks"] if check["check"].endswith("through traefik")
    } == routed
    assert platform.ssh("monitor", "verify").returncode == 0


# Who is told ---------------------------------------------------------------------------------------------------------


def test_the_manager_sees_tickets_and_services(platform: Platform) -> None:
    done = platform.ssh("manager", "status --json")
    assert done.returncode == 0, done.stdout
    data = json.loads(done.stdout)
    assert set(data["tickets"]) == {"open", "in_progress", "closed"}
    assert {service["service"] for service in data["services"]} == set(TOPOLOGY.services)


def test_the_autopilot_may_ask_and_the_developer_may_not(platform: Platform) -> None:
    asked = platform.ssh("autopilot", "ssh ssh-monitor status")
    assert asked.returncode == 0, asked.stderr
    assert "services are up" in asked.stdout
    denied = platform.ssh("developer", "status")
    assert denied.returncode == 77
    assert denied.stderr.splitlines()[-1].startswith("denied:")
    raw = platform.ssh("developer", "ssh -o BatchMode=yes ssh-monitor status")
    assert (raw.returncode, raw.stdout) == (255, "")
    for role in ("manager", "autopilot"):
        verify = platform.ssh(role, "ssh ssh-monitor verify")
        assert verify.returncode == 77
        assert verify.stderr.splitlines()[-1].startswith("denied:")


# What fails ----------------------------------------------------------------------------------------------------------


def test_a_stopped_service_is_named_to_everybody(platform: Platform) -> None:
    with platform.stopped("redis"):
        done = platform.ssh("monitor", "status --now --json")
        assert (done.returncode, states(done)["redis"]) == (1, "down")
        eventually(lambda: platform.ssh("monitor", "status").returncode == 1, "the watch sees it", 20)
        told = platform.ssh("monitor", "status")
        assert told.returncode == 1
        assert "down: redis" in told.stdout.splitlines()[-1]
        assert any(problem.startswith("redis: ") for problem in problems(platform))
        manager = platform.ssh("manager", "status")
        assert manager.returncode == 1
        assert "down: redis" in manager.stdout
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "all is up again", 60)


def test_a_frozen_service_is_down_and_the_others_are_not(platform: Platform) -> None:
    container = platform.container("frontend")
    container.pause()
    try:
        found = states(platform.ssh("monitor", "status --now --json"))
    finally:
        container.unpause()
    assert found.pop("frontend") == "down"
    # What people see of the page comes through the proxy.
    assert found.pop("traefik") in ("up", "degraded", "down")
    assert set(found.values()) == {"up"}
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "all is up again", 60)


def test_what_is_on_no_network_of_the_monitors_is_seen_by_dockers_eyes(platform: Platform) -> None:
    with platform.stopped(APART):
        found = json.loads(platform.ssh("monitor", "status --now --json").stdout)["services"]
        [entry] = [entry for entry in found if entry["service"] == APART]
        assert (entry["state"], entry["probes"][0]["detail"].partition(",")[0]) == ("down", "exited")
    platform.wait_healthy(APART)
    eventually(lambda: platform.ssh("monitor", "status").returncode == 0, "all is up again", 60)


def test_the_manager_is_told_when_the_monitor_is_away(platform: Platform) -> None:
    with platform.stopped("ssh-monitor"):
        done = platform.ssh("manager", "status")
        assert done.returncode == 1
        assert done.stdout.startswith("Tickets: ")
        assert "Services: unknown; the monitor: " in done.stdout
    eventually(lambda: platform.ssh("manager", "status").returncode == 0, "the monitor is back", 60)


# Audit logs ----------------------------------------------------------------------------------------------------------


def test_a_changed_line_is_found(platform: Platform) -> None:
    with changed_log(platform, '1s/"verdict": "[a-z]*"/"verdict": "forged"/'):
        assert problems(platform) == [
            f"{LOG}: line 1 of {Path(LOG).name} is not what the monitor's copy has",
            f"{LOG}: line 2 does not follow line 1",
        ]
    assert problems(platform) == []


def test_lines_cut_off_at_the_end_are_found(platform: Platform) -> None:
    with changed_log(platform, "$d"):
        copied, problem = problems(platform)
        assert copied.startswith(f"{LOG}: line ")
        assert copied.endswith("is missing, which the monitor's copy has")
        assert problem.startswith(f"{LOG}: it ends at line ")
        told = platform.ssh("monitor", "verify")
        assert told.returncode == 1
        assert told.stdout.splitlines()[-1] == problem
    assert problems(platform) == []
