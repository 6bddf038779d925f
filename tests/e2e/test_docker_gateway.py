"""The way to Docker: who reaches it, what passes for the monitor, what the autopilot may ask for, and that nothing else gets through."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from ansible_collections.dockfra.core.plugins.module_utils.containers.labels import LABEL_PROJECT
from tests.e2e.support.docker_probes import probes
from tests.e2e.support.engines import OF_TESTS
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.roles import SERVICE, TOPOLOGY, as_role, data

PROGRAM = (Path(__file__).parent / "support" / "docker_probes.py").read_text()
[GATEWAY] = [service for service in TOPOLOGY.containers() if service.docker_sockets]
PORT = GATEWAY.port("http").number
MONITOR = SERVICE["monitor"]

# Restarted here; nothing else of the platform depends on it.
TARGET = "desktop-app"
NAME = TOPOLOGY.container_name(TARGET)

FORBIDDEN = 403
MALFORMED = {400, 413, 414, 431, 501, 505}


@pytest.fixture(scope="module")
def stranger(platform: Platform) -> Iterator[Container]:
    """A container of somebody else, whose name begins like those of the platform."""
    project = TOPOLOGY.project
    made = platform.docker.containers.run(
        str(platform.container("git").attrs["Image"]),
        entrypoint=["sleep", "3600"],
        name=f"{project}-b-web",
        labels={LABEL_PROJECT: f"{project}-b", OF_TESTS: ""},
        network_mode="none",
        mem_limit="32m",
        detach=True,
    )
    yield made
    made.remove(force=True)


def started(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["StartedAt"])


# Who reaches it --------------------------------------------------------------------------------------------------------


def test_the_monitor_alone_reaches_the_gateway(platform: Platform) -> None:
    places = [(address, PORT) for address in platform.addresses(GATEWAY.name) if ":" not in address]
    assert places
    reached = platform.reachable(platform.names, places)
    assert {name for name, found in reached.items() if found} == {MONITOR, GATEWAY.name}
    assert not platform.container(GATEWAY.name).attrs["NetworkSettings"]["Ports"].get(f"{PORT}/tcp")
    # It has no way out of its own network, nor to anybody in it.
    others = [
        (address, port.number)
        for service in TOPOLOGY.containers()
        if service.name != GATEWAY.name
        for address in platform.addresses(service.name)
        if ":" not in address
        for port in service.ports
    ]
    assert platform.reachable([GATEWAY.name], others)[GATEWAY.name] == set()


def test_the_socket_is_in_no_other_container(platform: Platform) -> None:
    having = [
        name
        for name in platform.names
        for mount in platform.container(name).attrs["Mounts"]
        if "docker.sock" in mount["Source"] or "containerd" in mount["Source"]
    ]
    assert having == [GATEWAY.name]


# What passes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["name", "id", "short"])
def test_the_monitor_does_every_verb(platform: Platform, stranger: Container, form: str) -> None:
    container = platform.container(TARGET)
    identity = str(container.id)
    reference = {"name": NAME, "id": identity, "short": identity[:12]}[form]

    def docker(line: str) -> subprocess.CompletedProcess[str]:
        return as_role(platform, "monitor", f"docker {line}")

    assert json.loads(docker(f"inspect {reference}").stdout)[0]["Id"] == identity
    assert docker(f"logs --tail 5 {reference}").returncode == 0
    assert "supervisor/worker.py" in docker(f"top {reference}").stdout
    assert docker(f"stats --no-stream --format '{{{{.Name}}}}' {reference}").stdout.strip() == NAME
    before = started(container)
    assert docker(f"restart {reference}").returncode == 0
    assert started(container) != before
    assert docker(f"stop {reference}").returncode == 0
    container.reload()
    assert container.status == "exited"
    assert docker(f"start {reference}").returncode == 0
    platform.wait_answering(TARGET)
    # By the same means nothing of a stranger's.
    other = {"name": stranger.name, "id": stranger.id, "short": str(stranger.id)[:12]}[form]
    since = started(stranger)
    for verb in ("inspect", "logs", "top", "stop", "restart", "start"):
        done = docker(f"{verb} {other}")
        assert done.returncode != 0, verb
        assert "is no container of the platform" in done.stderr, verb
    assert (started(stranger), stranger.status) == (since, "running")


def test_lists_and_events_are_the_platforms_own(platform: Platform, stranger: Container) -> None:
    listed = as_role(platform, "monitor", "docker ps --all --format '{{.Names}}'").stdout.split()
    assert sorted(listed) == sorted(TOPOLOGY.container_name(name) for name in platform.names)
    label = f"{LABEL_PROJECT}={TOPOLOGY.project}-b"
    assert as_role(platform, "monitor", f"docker ps -aq --filter label={label}").stdout == ""
    stranger.restart(timeout=0)
    platform.container(TARGET).restart()
    told = as_role(
        platform,
        "monitor",
        "docker events --since 60s --until 0s --format '{{.Actor.Attributes.name}} {{.Action}}'",
    )
    assert f"{NAME} restart" in told.stdout, told.stderr
    assert str(stranger.name) not in told.stdout
    platform.wait_answering(TARGET)


def test_logs_are_followed_as_they_come(platform: Platform) -> None:
    """Until whoever follows leaves: then nothing is left of it, neither here nor at the gateway."""
    line = f"timeout 5 docker logs --follow --tail 0 {TOPOLOGY.container_name(GATEWAY.name)} & sleep 1; docker inspect nobody; wait"
    done = as_role(platform, "monitor", line)
    assert '"event": "refused"' in done.stdout
    assert "/containers/nobody/json" in done.stdout
    eventually(lambda: "docker logs" not in str(platform.container(MONITOR).top()), "the client ends")


def test_what_changes_something_is_in_the_monitors_audit(platform: Platform) -> None:
    log = f"/shared/logs/audit/{MONITOR}.jsonl"
    before = len(platform.run(MONITOR, "cat", log).stdout.splitlines())
    assert as_role(platform, "monitor", f"docker restart {NAME}").returncode == 0
    assert as_role(platform, "monitor", "docker ps").returncode == 0
    denied = as_role(platform, "monitor", f"docker exec {NAME} id")
    assert (denied.returncode, denied.stdout, len(denied.stderr.splitlines())) == (77, "", 1)
    assert denied.stderr.startswith("denied: docker 'exec'")
    lines = [json.loads(line) for line in platform.run(MONITOR, "cat", log).stdout.splitlines()[before:]]
    assert [(line["verb"], line["arguments"][0], line["verdict"]) for line in lines] == [
        ("docker", "restart", "allowed"),
        ("docker", "exec", "denied"),
    ]
    platform.wait_answering(TARGET)


# What does not ---------------------------------------------------------------------------------------------------------


def test_the_probes_are_refused_from_inside_the_monitor(platform: Platform, stranger: Container) -> None:
    """Raw means from a full shell: no client, no command, the gateway's own port."""
    own = platform.container(TARGET)
    asked = probes(
        {
            "own": NAME,
            "own_id": str(own.id),
            "project": TOPOLOGY.project,
            "other": str(stranger.name),
            "other_id": str(stranger.id),
            "other_short": str(stranger.id)[:12],
        }
    )
    assert len(asked) >= 60
    since = [started(own), started(stranger)]
    request = {"address": GATEWAY.name, "port": PORT, "probes": list(asked.items())}
    done = platform.run(MONITOR, "python3", "-c", PROGRAM, text=json.dumps(request))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == len(asked)
    assert [
        (name, status, body[:100])
        for name, status, body in answers
        if status != FORBIDDEN and status not in MALFORMED
    ] == []
    assert [started(own), started(stranger)] == since
    assert own.attrs["ExecIDs"] is None or all("healthcheck" in str(entry) for entry in execs(platform, own))
    assert platform.docker.containers.list(all=True, filters={"name": "^/probe$"}) == []
    assert platform.docker.volumes.list(filters={"name": "probe"}) == []
    # Each is in the gateway's log, with the monitor's address.
    [address] = [
        address
        for address, (network, _family) in platform.addresses(MONITOR).items()
        if network == TOPOLOGY.network_name(GATEWAY.networks[0])
    ]
    log = platform.container(GATEWAY.name).logs(tail=2 * len(asked)).decode()
    told = [json.loads(line) for line in log.splitlines() if '"refused"' in line]
    assert sum(line["peer"].startswith(f"{address}:") for line in told) >= len(asked)


def execs(platform: Platform, container: Container) -> list[object]:
    """The commands that run in a container besides its own: Docker's health check is one."""
    return [
        platform.docker.api.exec_inspect(identity)["ProcessConfig"]
        for identity in container.attrs["ExecIDs"] or ()
    ]


# What the autopilot may ask for ----------------------------------------------------------------------------------------


@pytest.fixture
def uncounted(platform: Platform) -> Iterator[None]:
    """No restart was asked for within the last hour, nor after this."""
    forget = ("rm", "-f", f"/home/{TOPOLOGY.services[MONITOR].user}/.local/state/dockfra/restarts.json")
    platform.run(MONITOR, *forget)
    yield
    platform.run(MONITOR, *forget)


def test_the_autopilot_may_ask_for_three_restarts_an_hour(platform: Platform, uncounted: None) -> None:
    def asked(service: str, role: str = "autopilot") -> subprocess.CompletedProcess[str]:
        return as_role(platform, role, f"ssh {MONITOR} request-restart {service} --json")

    container = platform.container(TARGET)
    for number in (1, 2, 3):
        before = started(container)
        assert data(asked(TARGET))["restarts"] == number
        assert started(container) != before
    since = started(container)
    refused = asked(TARGET)
    assert (refused.returncode, refused.stdout) == (75, "")
    assert f"restarts are limited: {TARGET} had 3 within 60 minutes" in refused.stderr
    assert started(container) == since
    for service, status in ((MONITOR, 77), (GATEWAY.name, 77), ("nothing", 2)):
        done = asked(service)
        assert (done.returncode, len(done.stderr.splitlines())) == (status, 1), done.stderr
    assert asked(TARGET, "manager").returncode == 77
    platform.wait_answering(TARGET)
