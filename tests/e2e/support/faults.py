"""Faults of a running platform, one class for each: how it begins, what has to be true in the end, what may have been changed by then,
and how it is taken away again. Each is judged by how the platform is, never by what somebody says."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from .deploys import APP, SECONDS, Team
from .platform import Platform, eventually

# Seconds that tests of a commit take, while which something else fails.
SLOW_TESTS = 100

# Lets a release say that it does not work while there is some file.
WORSE = """\
import sys
path, file = sys.argv[1:]
text = open(path).read()
line = '    down = [name for name, state in checks.items() if state == "down"]\\n'
assert text.count(line) == 1
more = f'    if __import__("os").path.exists("{file}"):\\n        down.append("order")\\n'
open(path, "w").write(text.replace(line, line + more))
"""


@dataclass(frozen=True)
class Allowed:
    """What may have been done in the end, and nothing else.

    Attributes:
        restarts: how often at most, by service.
        rollbacks: of which targets, once each.
        told: about which service there has to be exactly one ticket and one alert; empty where there may be none.
        evidence: what the ticket has to hold.
        raised: how many tickets have to be raised.
        moves: services whose containers the fault itself starts anew.
    """

    restarts: Mapping[str, int] = field(default_factory=dict)
    rollbacks: tuple[str, ...] = ()
    told: str = ""
    evidence: str = ""
    raised: int = 0
    moves: tuple[str, ...] = ()


class Fault(ABC):
    """A fault.

    Args:
        team: developer and monitor of the platform.
        good: a commit that works.

    Attributes:
        allowed: what may have been done in the end.
        seconds: until that, at most, beside the intervals of the autopilot.
    """

    allowed: Allowed
    seconds = 150.0

    def __init__(self, team: Team, good: str) -> None:
        self.team, self.platform, self.good = team, team.platform, good

    def prepare(self) -> None:
        """Do what comes before, while the autopilot is off; by default nothing."""
        return

    @abstractmethod
    def inject(self) -> None:
        """Let it begin; when this returns it has."""

    @abstractmethod
    def mended(self) -> bool:
        """Whether all is as it has to be in the end; of what people are told, all but that."""

    def restore(self) -> None:
        """Take away what is left of it, while the autopilot is off."""
        for name in self.platform.names:
            if not runs(self.platform, name):
                self.platform.container(name).start()


def runs(platform: Platform, name: str) -> bool:
    return bool(platform.container(name).attrs["State"]["Running"])


def healthy(platform: Platform, *names: str) -> bool:
    """Whether containers run and their checks pass, Docker's last round of them and another now."""
    states = [platform.container(name).attrs["State"] for name in names]
    seen = all(state["Running"] and state["Health"]["Status"] == "healthy" for state in states)
    return seen and all(platform.passes(name) for name in names)


# What is repaired ------------------------------------------------------------------------------------------------------


class Killed(Fault):
    """Containers that ended; who needs them recovers with them, and is not restarted."""

    services: tuple[str, ...]
    dependants: tuple[str, ...] = ()

    def __init__(self, team: Team, good: str) -> None:
        super().__init__(team, good)
        self.allowed = Allowed(restarts=dict.fromkeys(self.services, 1))

    def inject(self) -> None:
        for name in self.services:
            self.platform.container(name).kill()

    def mended(self) -> bool:
        return healthy(self.platform, *self.services, *self.dependants)


class ExitedContainer(Killed):
    services = ("mobile-backend",)


class DatabaseDown(Killed):
    services, dependants = ("db",), ("backend", "mobile-backend")


class RedisDown(Killed):
    services, dependants = ("redis",), ("backend",)


class TwoAtOnce(Killed):
    services, dependants = ("redis", "desktop-app"), ("backend",)


class UnhealthyBackend(Fault):
    """Its container runs, and nothing in it answers any more."""

    allowed = Allowed(restarts={"backend": 1})

    def inject(self) -> None:
        self.platform.run("backend", "/bin/sh", "-c", "kill -STOP -1")

    def mended(self) -> bool:
        return healthy(self.platform, "backend")

    def restore(self) -> None:
        if not healthy(self.platform, "backend"):
            self.platform.container("backend").restart(timeout=5)


class OfReleases(Fault):
    """A fault in which something is deployed; afterwards there is good code again, and it serves."""

    def push(self, message: str, change: str) -> str:
        return self.team.push(message, change)

    def as_before(self, release: str) -> bool:
        known = self.team.known("backend")
        serves = (known["running"], known["current"], known["holder"]) == (release, release, None)
        return serves and healthy(self.platform, "backend") and self.team.serving("backend") == release

    def restore(self) -> None:
        super().restore()
        self.team.push("Good again", f"git read-tree -u --reset {self.good}")
        self.team.deploy("deploy-backend")


class FailedDeploy(OfReleases):
    """A release that never becomes healthy: what served goes on, and people learn of it."""

    allowed = Allowed(told="backend", evidence=": failed", moves=("builder",))

    def prepare(self) -> None:
        self.before = self.team.serving("backend")
        change = (
            "sed -i 's|path: /health|path: /no-such-page|; s|  seconds: 30|  seconds: 3|' backend/release.yml"
        )
        self.push("It is unhealthy", change)

    def inject(self) -> None:
        done = self.team.monitor("deploy-backend")
        assert done.returncode == 1, f"{done.stdout}{done.stderr}"

    def mended(self) -> bool:
        return self.as_before(self.before)


class BadLater(OfReleases):
    """A release that passes its health at first, and is bad later."""

    allowed = Allowed(rollbacks=("backend",))
    # Where this file is, the release says that it does not work.
    file = "/tmp/out-of-order"

    def prepare(self) -> None:
        self.before = self.team.serving("backend")
        self.push("Bad later", f"python3 - {APP} {self.file} <<'END'\n{WORSE}END")
        self.team.deploy("deploy-backend")
        assert self.team.serving("backend") != self.before

    def inject(self) -> None:
        assert self.platform.run("backend", "touch", self.file).returncode == 0

    def mended(self) -> bool:
        return self.as_before(self.before)

    def restore(self) -> None:
        self.platform.run("backend", "rm", "-f", self.file)
        super().restore()


class DuringDeploy(OfReleases):
    """What a service needs fails while that is being deployed: it is repaired, and the deploy comes to its end."""

    allowed = Allowed(restarts={"redis": 1}, moves=("builder",))
    seconds = SLOW_TESTS + 150.0

    def prepare(self) -> None:
        command = f'  command: [sleep, "{SLOW_TESTS}"]'
        change = f"echo '# slow' >>{APP}; sed -i 's/^  command: .*/{command}/' backend/release.yml"
        self.commit = self.push("Slow", change)

    def inject(self) -> None:
        command = ["ssh", "-F", str(self.platform.state / "ssh_config"), "-o", "BatchMode=yes", "monitor"]
        self.deploy = subprocess.Popen(
            [*command, "deploy-backend"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self.team.known("backend")["holder"] is not None, "the deploy has begun")
        self.platform.container("redis").kill()

    def mended(self) -> bool:
        if self.deploy.poll() is None or not healthy(self.platform, "redis", "backend"):
            return False
        assert self.deploy.returncode == 0, "the deploy failed"
        return self.team.serving("backend").endswith(self.commit[:12])

    def restore(self) -> None:
        try:
            self.deploy.wait(SECONDS)
        finally:
            self.deploy.kill()
        super().restore()
