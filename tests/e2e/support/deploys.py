"""Somebody who changes the application's code, and somebody who deploys it."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from .platform import Platform

# Tests of the application take longer than all else of a deploy; what is tested here needs none of them.
_NO_TESTS = "  command: [python, -c, pass]"
# Beside those, less time in which a new release has to last.
QUICK = (
    f"sed -i 's/^  command: .*/{_NO_TESTS}/' backend/release.yml mobile-backend/release.yml frontend/release.yml\n"
    "sed -i 's/^settle_seconds: .*/settle_seconds: 4/' backend/release.yml mobile-backend/release.yml"
)
# A file of the backend in which a change shows nowhere.
APP = "backend/backend/app.py"
SECONDS = 420


class Team:
    """Developer and monitor of a platform.

    Args:
        platform: it.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def developer(self, script: str) -> str:
        """Run a script in the developer's container and return what it prints."""
        done = self.platform.ssh("developer", f"bash -euo pipefail -c {shlex.quote(script)}", timeout=SECONDS)
        assert done.returncode == 0, f"{script[:200]}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def push(self, message: str, change: str = "", files: Mapping[str, str] | None = None) -> str:
        """Change main at the origin, and return the commit.

        Args:
            message: of the commit.
            change: commands, in the root of the work tree.
            files: content by path.
        """
        written = "".join(
            f"mkdir -p $(dirname {shlex.quote(path)}); echo {base64.b64encode(text.encode()).decode()} | base64 -d >{shlex.quote(path)}\n"
            for path, text in (files or {}).items()
        )
        return self.developer(
            "cd ~/app && git switch -q main && git fetch -q origin && git reset -q --hard origin/main\n"
            f"{change}\n{written}"
            f"git add -A && git commit -q --allow-empty -m {shlex.quote(message)} && git push -q origin main && git rev-parse HEAD"
        )

    @contextmanager
    def own_code(self) -> Iterator[None]:
        """Afterwards code and services are what they were: the code that the images are made of, and what they brought."""
        try:
            yield
        finally:
            self.first_code()
            services = [name for name, service in self.platform.topology.services.items() if service.release]
            # Each is watched for some seconds.
            with ThreadPoolExecutor(len(services)) as side_by_side:
                for done in side_by_side.map(self.first_release, services):
                    assert done.returncode == 0, done.stderr

    def first_release(self, name: str) -> subprocess.CompletedProcess[str]:
        """Let a service go back to what its image brought."""
        target = self.platform.topology.services[name].release
        assert target is not None
        [bastion] = self.platform.topology.bastions(target.target)
        return self.monitor(f"ssh {bastion.name} release-switch {name} image")

    def first_code(self) -> None:
        """Let main have the code that the images are made of."""
        self.developer(
            "cd ~/app && git fetch -q && git switch -q main && git reset -q --hard origin/main"
            " && first=$(git rev-list --max-parents=0 HEAD) && git read-tree -u --reset $first && git add -A"
            " && git commit -q --allow-empty -m 'As in the beginning' && git push -q origin main"
        )

    def monitor(self, line: str, timeout: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command in the monitor's container."""
        return self.platform.ssh("monitor", line, timeout=timeout)

    def deploy(self, line: str) -> dict[str, Any]:
        """Run a deploy command that succeeds, and return its result."""
        done = self.monitor(f"{line} --json")
        assert done.returncode == 0, f"{line}\n{done.stdout[-4000:]}{done.stderr}"
        return dict(json.loads(done.stdout.splitlines()[-1])["data"])

    def known(self, service: str) -> dict[str, Any]:
        """What the bastion of a service says of its releases."""
        target = self.platform.topology.services[service].release
        assert target is not None
        [bastion] = self.platform.topology.bastions(target.target)
        done = self.monitor(f"ssh {bastion.name} release-status {service} --json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout)[0])

    def releases(self, service: str) -> dict[str, Any]:
        """The same without how full the disk is, which anybody on the machine changes."""
        return {name: value for name, value in self.known(service).items() if name != "used"}

    def serving(self, service: str) -> str:
        """The release that a service names in its answers."""
        paths = {"frontend": "/", "backend": "/api/info", "mobile-backend": "/mobile/config"}
        answer = requests.get(
            self.platform.url(paths[service]), verify=str(self.platform.authority), timeout=10
        )
        assert answer.status_code == 200, f"{service}: {answer.status_code}"
        return answer.headers.get("X-Release", "")


@dataclass
class Load:
    """Requests through the reverse proxy, from outside and without a second try, and what came of them.

    Attributes:
        name: what the names begin with that they store.
        sent: how many.
        failures: what was not as it should be.
        stored: what POST requests stored, as they were told.
        answers: per request when it began, how long it took, and the release that answered.
    """

    platform: Platform
    name: str = field(default_factory=lambda: f"load-{uuid.uuid4().hex[:12]}")
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    answers: list[tuple[float, float, str]] = field(default_factory=list)

    def one(self, session: requests.Session, number: int) -> None:
        """Send the request of a number: every fifth stores something."""
        begin = time.monotonic()
        try:
            if number % 5 == 0:
                name = f"{self.name}-{threading.get_ident()}-{number}"
                device = {"name": name, "kind": "edge", "architecture": "arm64", "version": "1.0.0"}
                headers = {"Authorization": f"Bearer {self.platform.secret('backend/api_token')}"}
                answer = session.post(
                    self.platform.url("/api/devices"), json=device, headers=headers, timeout=30
                )
                good = answer.status_code == 201
                if good:
                    self.stored.append(name)
            else:
                answer = session.get(self.platform.url("/api/info"), timeout=30)
                good = answer.status_code == 200
        except requests.RequestException as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        finally:
            self.sent += 1
        if not good:
            self.failures.append(f"{answer.request.method} {answer.status_code} {answer.text[:200]}")
        self.answers.append((begin, time.monotonic() - begin, answer.headers.get("X-Release", "")))


@contextmanager
def under_load(platform: Platform, workers: int = 4, pause: float = 0.05) -> Iterator[Load]:
    """Send requests while something is done: half of the workers keep their connections, the others have one for each request."""
    load, ended = Load(platform), threading.Event()

    def work(keep: bool) -> None:
        session, number = requests.Session(), 0
        while not ended.wait(pause):
            if not keep:
                session.close()
                session = requests.Session()
            session.verify, session.trust_env = str(platform.authority), False
            load.one(session, number)
            number += 1
        session.close()

    threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
