"""The Docker gateway before the engine of this machine: what it refuses has no effect, and Docker's own client does all that it may."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.support.docker_gateway import FORBIDDEN, MALFORMED, Gateway, wait_for
from tests.e2e.support.docker_probes import ask, probes
from tests.e2e.support.engines import OF_TESTS
from tests.e2e.support.platform import Platform

SOCKET = Path("/var/run/docker.sock")


@pytest.fixture(scope="module")
def real(platform: Platform) -> docker.DockerClient:
    """An engine that is there for sure, and has an image."""
    return platform.docker


@pytest.fixture(scope="module")
def small(platform: Platform) -> str:
    return str(platform.container("git").attrs["Image"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    running: list[Gateway] = []

    def started(engine: Path, project: str) -> Gateway:
        running.append(Gateway(tmp_path, engine, project))
        return running[-1]

    yield started
    for gateway in running:
        gateway.close()


@pytest.fixture(scope="module")
def containers(real: docker.DockerClient, small: str) -> Iterator[dict[str, Any]]:
    """One of the platform ``P``, and one of a platform ``P-b`` whose name begins like that of P's."""
    project = f"gw-test-{uuid.uuid4().hex[:8]}"
    script = "trap exit TERM; echo hello; while :; do sleep 0.2; done"
    made: dict[str, Any] = {"project": project}
    try:
        for key, owner in (("own", project), ("other", f"{project}-b")):
            made[key] = real.containers.run(
                small,
                entrypoint=["sh", "-c", script],
                name=f"{owner}-web",
                labels={"dockfra.project": owner, "dockfra.service": "web", OF_TESTS: ""},
                detach=True,
                network_mode="none",
                mem_limit="32m",
            )
        yield made
    finally:
        for key in ("own", "other"):
            if key in made:
                made[key].remove(force=True)


@pytest.fixture
def before_engine(containers: dict[str, Any], start: Callable[..., Gateway]) -> Gateway:
    return start(SOCKET, containers["project"])


def test_what_is_refused_has_no_effect_on_a_real_engine(
    real: docker.DockerClient, containers: dict[str, Any], before_engine: Gateway
) -> None:
    own, other = containers["own"], containers["other"]
    asked = probes(
        {
            "own": own.name,
            "own_id": own.id,
            "project": containers["project"],
            "other": other.name,
            "other_id": other.id,
            "other_short": other.id[:12],
        }
    )
    started = []
    for each in (own, other):
        each.reload()
        started.append(each.attrs["State"]["StartedAt"])
    for name, text in asked.items():
        status, body = ask("127.0.0.1", before_engine.port, text)
        assert status == FORBIDDEN or status in MALFORMED, f"{name}: {status} {body[:200]}"
    for each, since in zip((own, other), started, strict=True):
        each.reload()
        assert (each.attrs["State"]["StartedAt"], each.status) == (since, "running")
        assert each.attrs["ExecIDs"] is None
    assert real.containers.list(all=True, filters={"name": "^/probe$"}) == []
    assert real.volumes.list(filters={"name": "probe"}) == []
    assert real.networks.list(names=["^probe$"]) == []


@pytest.fixture
def client(before_engine: Gateway) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str, seconds: float = 40) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        environment["DOCKER_HOST"] = f"tcp://127.0.0.1:{before_engine.port}"
        return subprocess.run(
            ["docker", *words],
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )

    return run


Client = Callable[..., subprocess.CompletedProcess[str]]


def test_dockers_own_client_lists_only_the_platforms_containers(
    client: Client, containers: dict[str, Any]
) -> None:
    for words in (("ps",), ("ps", "--all"), ("ps", "--filter", "name=web"), ("container", "ls")):
        done = client(*words, "--format", "{{.Names}}")
        assert (done.returncode, done.stdout.split()) == (0, [containers["own"].name]), done.stderr
    others = client("ps", "-a", "-q", "--filter", f"label=dockfra.project={containers['project']}-b")
    assert (others.returncode, others.stdout) == (0, "")


@pytest.mark.parametrize("form", ["name", "id", "short", "shorter"])
def test_dockers_own_client_does_every_verb(client: Client, containers: dict[str, Any], form: str) -> None:
    own = containers["own"]
    reference = {"name": own.name, "id": own.id, "short": own.id[:12], "shorter": own.id[:9]}[form]
    assert json.loads(client("inspect", reference).stdout)[0]["Id"] == own.id
    assert "hello" in client("logs", reference).stdout
    assert "sleep 0.2" in client("top", reference).stdout
    assert own.name in client("stats", "--no-stream", "--format", "{{.Name}}", reference).stdout
    own.reload()
    before = own.attrs["State"]["StartedAt"]
    assert client("restart", "--time", "5", reference).returncode == 0
    own.reload()
    assert (own.attrs["State"]["StartedAt"] != before, own.status) == (True, "running")
    assert client("stop", reference).returncode == 0
    own.reload()
    assert own.status == "exited"
    assert client("start", reference).returncode == 0
    own.reload()
    assert own.status == "running"
    # Others are refused by the same means, with one line.
    other = containers["other"]
    for verb in ("inspect", "logs", "top", "restart", "stop", "start"):
        done = client(verb, {"name": other.name, "id": other.id}.get(form, other.id[:12]))
        assert done.returncode != 0, verb
        assert "is no container of the platform" in done.stderr, verb


def test_dockers_own_client_follows_logs_stats_and_events(client: Client, containers: dict[str, Any]) -> None:
    own = containers["own"]
    for words, expected in (
        (("logs", "--follow", own.name), "hello"),
        (("stats", "--format", "{{.Name}}"), own.name),
    ):
        with pytest.raises(subprocess.TimeoutExpired) as ended:
            client(*words, seconds=6)
        assert expected in (ended.value.stdout or b"").decode()
    containers["other"].restart(timeout=1)
    own.restart(timeout=1)
    # Docker's client cuts "0s" to the whole second, and what happened within it would be missing.
    until = f"{time.time() + 1:.0f}"
    done = client(
        "events", "--since", "60s", "--until", until, "--format", "{{.Actor.Attributes.name}} {{.Action}}"
    )
    assert f"{own.name} restart" in done.stdout, done.stderr
    assert containers["other"].name not in done.stdout


def test_a_client_that_is_killed_leaves_nothing_at_the_engine(
    containers: dict[str, Any], before_engine: Gateway, real: docker.DockerClient
) -> None:
    environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"tcp://127.0.0.1:{before_engine.port}"}
    command = ["docker", "logs", "--follow", containers["own"].name]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"hello\n"
        assert sockets(before_engine) == 1
        client.kill()
    wait_for(lambda: sockets(before_engine) == 0)


def sockets(gateway: Gateway) -> int:
    """The gateway's connections to an engine."""
    names = set()
    for number in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            names.add(os.readlink(number))
    streams = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    own = {f"socket:[{line[6]}]" for line in streams if line[4] == "0001" and len(line) == 7}
    # One pair is asyncio's own.
    return max(0, len(names & own) - 2)
