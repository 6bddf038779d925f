"""The long forms: many deploys under a heavy load, and ends at random moments."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.e2e.support.deploys import APP, QUICK, Team
from tests.e2e.support.platform import Platform, eventually

pytestmark = pytest.mark.slow

RATE = 200
SLOW_SECONDS = 5
# Some wait for what takes long, and send what they owe afterwards.
WORKERS = 120
# Of a hundred requests so many take long, and so many store something.
SLOW, POSTS = 5, 25
KILLS = 40


@dataclass
class Answer:
    """What came of a request: when it began and how long it took, in seconds, and the release that answered."""

    begin: float
    seconds: float
    release: str
    slow: bool


@dataclass
class Heavy:
    """Requests at a fixed rate through the reverse proxy, half of them on connections of their own, none of them repeated."""

    platform: Platform
    name: str = field(default_factory=lambda: f"heavy-{uuid.uuid4().hex[:8]}")
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def work(self, worker: int) -> None:
        context = ssl.create_default_context(cafile=str(self.platform.authority))
        port = self.platform.published("traefik", "https")
        token = self.platform.secret("backend/api_token")
        connection: http.client.HTTPSConnection | None = None
        due = time.monotonic() + random.random() * WORKERS / RATE
        for number in range(10**6):
            if self.ended.wait(max(0.0, due - time.monotonic())):
                break
            due = max(due, time.monotonic() - 2 * SLOW_SECONDS) + WORKERS / RATE
            if connection is None or worker % 2:
                if connection:
                    connection.close()
                connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
            try:
                self._one(connection, f"{self.name}-{worker}-{number}", random.randrange(100), token)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _one(self, connection: http.client.HTTPSConnection, name: str, kind: int, token: str) -> None:
        begin = time.monotonic()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if kind < SLOW:
            connection.request("GET", f"/api/slow?seconds={SLOW_SECONDS}")
        elif kind < SLOW + POSTS:
            device = {"name": name, "kind": "edge", "architecture": "arm64", "version": "1.0.0"}
            connection.request("POST", "/api/devices", json.dumps(device), headers)
        else:
            connection.request("GET", "/api/info")
        answer = connection.getresponse()
        answer.read()
        wanted = 201 if SLOW <= kind < SLOW + POSTS else 200
        if answer.status != wanted:
            self.failures.append(f"{answer.status} instead of {wanted}")
        elif wanted == 201:
            self.stored.append(name)
        found = Answer(begin, time.monotonic() - begin, answer.headers.get("X-Release", ""), kind < SLOW)
        self.answers.append(found)

    def p99(self, since: float, until: float) -> float:
        """The time that 99 of 100 quick requests took which began within some time."""
        times = sorted(
            found.seconds for found in self.answers if since <= found.begin < until and not found.slow
        )
        return times[int(len(times) * 0.99)]


@contextlib.contextmanager
def heavy(platform: Platform) -> Iterator[Heavy]:
    load = Heavy(platform)
    threads = [threading.Thread(target=load.work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.ended.set()
        for thread in threads:
            thread.join(90)


@pytest.fixture(scope="module")
def team(platform: Platform) -> Iterator[Team]:
    team = Team(platform)
    with team.own_code():
        team.push("Quick", QUICK)
        team.deploy("deploy-all")
        yield team


def test_deploys_and_rollbacks_under_heavy_load(team: Team) -> None:
    deploys: list[tuple[float, float, str]] = []
    with heavy(team.platform) as load:
        time.sleep(20)
        quiet = (time.monotonic() - 15, time.monotonic())
        for number in range(10):
            team.push(f"Backend {number}", f"echo '# {number}' >>{APP}")
            begin = time.monotonic()
            release = team.deploy("deploy-backend")["release"]
            deploys.append((begin, time.monotonic(), release))
        for number in range(5):
            team.push(f"Frontend {number}", f"echo '<!-- {number} -->' >>frontend/site/index.html")
            team.deploy("deploy-frontend")
        for _number in range(5):
            team.deploy("rollback backend")
        time.sleep(6)
    assert load.failures == []
    for (_begin, end, release), (following, _end, _release) in itertools.pairwise(deploys):
        assert {answer.release for answer in load.answers if end < answer.begin < following} <= {release}
    listed = team.platform.run(
        "db",
        "psql",
        "-At",
        "-d",
        "app",
        "-c",
        f"SELECT name FROM backend.devices WHERE name LIKE '{load.name}-%'",
    ).stdout.split()
    assert sorted(listed) == sorted(load.stored)
    calm = load.p99(*quiet)
    around = max(load.p99(moment - 5, moment) for _begin, moment, _release in deploys)
    rate = len(load.answers) / (load.answers[-1].begin - load.answers[0].begin)
    print(
        f"{len(load.answers)} requests, {rate:.0f} a second; p99 {calm:.3f} s, around a switch at most {around:.3f} s"
    )
    assert around <= 5 * calm


def test_a_deploy_converges_whatever_is_killed(team: Team) -> None:
    """Of the deploy at every step, and of builder, bastion, service and the monitor's daemons at random moments."""
    before = told(team)
    chance = random.Random(7)
    victims = ["deploy", "builder", "ssh-backend", "backend", "watch", "poll"]
    for number in range(KILLS):
        victim = victims[number % len(victims)]
        team.push(f"Kill {number}", f"echo '# {number}' >>{APP}")
        process = subprocess.Popen(
            [
                "ssh",
                "-F",
                str(team.platform.state / "ssh_config"),
                "-o",
                "BatchMode=yes",
                "monitor",
                "deploy-backend",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.5, 14))
        if victim == "deploy":
            team.platform.run(
                "ssh-monitor", "pkill", "-KILL", "-f", chance.choice(["deploy-backend", "ansible-playbook"])
            )
        elif victim in ("watch", "poll"):
            team.platform.run("ssh-monitor", "pkill", "-KILL", "-f", f"daemon {victim}")
        else:
            container = team.platform.container(victim)
            container.kill()
            container.start()
        process.wait(120)
        team.platform.wait_answering("ssh-backend", "backend", "builder")
        eventually(lambda: team.known("backend")["holder"] is None, "nobody holds the bastion")
        team.deploy("deploy-backend")
        commit = team.developer("cd ~/app && git rev-parse origin/main")
        assert team.serving("backend").endswith(commit[:12]), f"after the end of {victim}"
        known = team.known("backend")
        assert known["running"] == known["current"]
        folder = team.platform.run("ssh-backend", "ls", "-A", "/srv/releases/backend").stdout.split()
        assert not [name for name in folder if name.startswith(".new")]
    # Each deploy is one line: the one that was ended, where it had begun, and the one after it.
    assert KILLS <= told(team) - before <= 2 * KILLS


def told(team: Team) -> int:
    """How many deploys the audit has lines of."""
    lines = team.platform.run("ssh-monitor", "sh", "-c", "cat /shared/logs/audit/ssh-monitor.jsonl*").stdout
    return sum(json.loads(line).get("verb") == "deploy-backend" for line in lines.splitlines())
