"""Faults that nothing mends which the autopilot may do: people are told of each once, with the evidence. And all faults by their names."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from docker.errors import DockerException

from .deploys import Team
from .engines import as_root
from .faults import (
    Allowed,
    BadLater,
    DatabaseDown,
    DuringDeploy,
    ExitedContainer,
    FailedDeploy,
    Fault,
    OfReleases,
    RedisDown,
    TwoAtOnce,
    UnhealthyBackend,
    healthy,
    runs,
)
from .platform import eventually
from .roles import as_role, data

# Hours since a stale ticket was changed.
STALE = 100


class OffNetwork(Fault):
    """It runs and is healthy, and nobody reaches it."""

    about: str = "frontend"
    networks: tuple[str, ...] = ("frontend-net", "proxy-net")
    seconds = 220.0

    def __init__(self, team: Team, good: str) -> None:
        super().__init__(team, good)
        self.allowed = Allowed(told=self.about, evidence=f"container/{self.about}: running")
        self.left: dict[str, list[str]] = {}

    def inject(self) -> None:
        container = self.platform.container(self.about)
        known = container.attrs["NetworkSettings"]["Networks"]
        for name in self.networks:
            network = self.platform.docker.networks.get(self.platform.topology.network_name(name))
            self.left[str(network.name)] = list(known[network.name]["Aliases"] or ())
            network.disconnect(container)

    def mended(self) -> bool:
        return runs(self.platform, self.about)

    def restore(self) -> None:
        container = self.platform.container(self.about)
        for name, aliases in self.left.items():
            self.platform.docker.networks.get(name).connect(container, aliases=aliases)
        # It listens on addresses that may be others now.
        container.restart(timeout=5)
        self.platform.wait_answering(self.about)


class UnreachableDevice(OffNetwork):
    about, networks = "rpi3", ("rpi3-net",)


class FullDisk(Fault):
    """The disk of a service's releases is nearly full, and nothing there may be removed."""

    allowed = Allowed(told="backend", evidence="% full, 0 old releases")
    seconds = 200.0
    bastion, path, percent = "ssh-backend", "/srv/releases/backend", 93

    def inject(self) -> None:
        self._mounts("full", str(self.percent))

    def mended(self) -> bool:
        return int(self.team.known("backend")["used"]) >= self.percent - 5 and runs(self.platform, "backend")

    def restore(self) -> None:
        self._mounts("away")
        # The monitor asks the bastion each minute.
        eventually(lambda: self._seen() < self.percent - 5, "the monitor knows that there is room", 120)

    def _seen(self) -> int:
        """To how many percent the monitor has it that the disk is full."""
        services = json.loads(self.team.monitor("status --json").stdout)["services"]
        [found] = [each for each in services if each["service"] == "backend"]
        return int((found.get("room") or {}).get("used") or 0)

    def _mounts(self, action: str, *words: str) -> None:
        program = str(Path(__file__).with_name("mounts.py"))
        pid = str(self.platform.pid(self.bastion))
        command = as_root(sys.executable, program, action, pid, self.path, *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


class BrokenSettings(Fault):
    """A line of a role's .env cannot be used."""

    allowed = Allowed(told="ssh-developer", evidence="settings/ssh-developer: ")
    seconds = 100.0
    file = "/home/developer/.env"

    def inject(self) -> None:
        self.before = self._run("cat", self.file)
        self._run("sh", "-c", f"printf '\\nLLM_TEMPERATURE=hot\\n' >>{self.file}")

    def mended(self) -> bool:
        return "LLM_TEMPERATURE=hot" in self._run("cat", self.file)

    def restore(self) -> None:
        self._run("sh", "-c", f"cat >{self.file}", text=self.before)
        # The guard says that, too.
        eventually(lambda: "all can be used" in self.team.monitor("status").stdout, "it is told", 60)

    def _run(self, *command: str, text: str | None = None) -> str:
        done = self.platform.run("ssh-developer", *command, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout


class DeadServer(Fault):
    """A role's SSH server ends, and cannot start with what its configuration says."""

    allowed = Allowed(told="ssh-developer", evidence="nobody listens")
    seconds = 220.0

    def prepare(self) -> None:
        mounts = self.platform.container("ssh-developer").attrs["Mounts"]
        [folder] = [mount["Source"] for mount in mounts if mount["Destination"] == "/etc/dockfra"]
        self.file = f"{folder}/ssh/sshd_config"
        self.before = self._as_root("cat", self.file)

    def inject(self) -> None:
        self._as_root("tee", self.file, text=f"{self.before}\nNoSuchKeyword yes\n")
        self.platform.run("ssh-developer", "sh", "-c", "kill $(cat /run/sshd.pid)")

    def mended(self) -> bool:
        return runs(self.platform, "ssh-developer")

    def restore(self) -> None:
        self._as_root("tee", self.file, text=self.before)
        eventually(lambda: self.platform.ssh("developer", "true").returncode == 0, "sshd answers again", 60)

    @staticmethod
    def _as_root(*command: str, text: str = "") -> str:
        done = subprocess.run(as_root(*command), input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


class FailingHead(OfReleases):
    """The newest commit of main fails its tests; the monitor deploys by itself."""

    allowed = Allowed(told="backend", evidence=": failed", moves=("builder",))
    seconds = 240.0

    def prepare(self) -> None:
        self.before = self.team.serving("backend")
        self._settings("MONITOR_AUTO_DEPLOY=true MONITOR_POLL_INTERVAL=5")

    def inject(self) -> None:
        command = '  command: [python, -c, "raise SystemExit(3)"]'
        self.push("Its tests fail", f"sed -i 's/^  command: .*/{command}/' backend/release.yml")

    def mended(self) -> bool:
        return self.as_before(self.before)

    def restore(self) -> None:
        self._settings("MONITOR_AUTO_DEPLOY=false MONITOR_POLL_INTERVAL=")
        super().restore()

    def _settings(self, line: str) -> None:
        done = as_role(self.platform, "manager", f"config-monitor {line}")
        assert done.returncode == 0, done.stderr


class Flapping(Fault):
    """It ends again some time after each start."""

    allowed = Allowed(restarts={"desktop-app": 2}, told="desktop-app", evidence="container/desktop-app")
    seconds = 600.0
    # Seconds that it lasts, long enough to be seen working.
    lasts = 25.0

    def inject(self) -> None:
        self.ended = threading.Event()
        self.platform.container("desktop-app").kill()
        self.thread = threading.Thread(target=self._kill, daemon=True)
        self.thread.start()

    def mended(self) -> bool:
        return not runs(self.platform, "desktop-app")

    def restore(self) -> None:
        self.ended.set()
        self.thread.join(60)
        super().restore()

    def _kill(self) -> None:
        while not self.ended.wait(1):
            if runs(self.platform, "desktop-app") and not self.ended.wait(self.lasts):
                try:
                    self.platform.container("desktop-app").kill()
                except DockerException:  # it has ended meanwhile
                    continue


class RestartInVain(Fault):
    """Its data is damaged: a restart exits 0, and it does not work."""

    allowed = Allowed(restarts={"redis": 2}, told="redis", evidence="redis")
    seconds = 700.0
    folder, file = "/var/lib/redis/appendonlydir", "appendonly.aof.manifest"

    def inject(self) -> None:
        read = self.platform.run("redis", "cat", f"{self.folder}/{self.file}")
        assert read.returncode == 0, read.stderr
        self.before = read.stdout.encode()
        script = f"echo damaged >{self.folder}/{self.file}"
        assert self.platform.run("redis", "sh", "-c", script).returncode == 0
        self.platform.container("redis").kill()

    def mended(self) -> bool:
        return not healthy(self.platform, "redis")

    def restore(self) -> None:
        container = self.platform.container("redis")
        container.stop(timeout=5)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(self.file)
            entry.size, entry.mode = len(self.before), 0o600
            entry.uid = entry.gid = int(container.attrs["Config"]["User"].partition(":")[0])
            archive.addfile(entry, io.BytesIO(self.before))
        assert container.put_archive(self.folder, packed.getvalue())
        container.start()


class StaleTicket(Fault):
    """Nobody has touched a ticket for days."""

    allowed = Allowed(raised=1)
    seconds = 60.0
    # The times of a ticket, so many hours earlier.
    script = (
        "import datetime, json, sys; path, hours = sys.argv[1], float(sys.argv[2]); ticket = json.load(open(path))\n"
        "for name in ('created_at', 'updated_at'):\n"
        "    moment = datetime.datetime.fromisoformat(ticket[name]) - datetime.timedelta(hours=hours)\n"
        "    ticket[name] = moment.isoformat(timespec='microseconds').replace('+00:00', 'Z')\n"
        "json.dump(ticket, open(path, 'w'))"
    )

    def inject(self) -> None:
        made = as_role(self.platform, "manager", "ticket-create 'Nobody has time for it' --json")
        self.ticket = str(data(made)["id"])
        command = ("python3", "-c", self.script, f"/shared/tickets/{self.ticket}.json", str(STALE))
        done = self.platform.run("ssh-manager", *command)
        assert done.returncode == 0, done.stderr

    def mended(self) -> bool:
        shown = as_role(self.platform, "manager", f"ticket-show {self.ticket} --json")
        return bool(json.loads(shown.stdout)["priority"] == "high")

    def restore(self) -> None:
        as_role(self.platform, "manager", f"ticket-update {self.ticket} --close")


Make = Callable[[Team, str], Fault]
REPAIRED: Mapping[str, Make] = {
    "exited container": ExitedContainer,
    "unhealthy backend": UnhealthyBackend,
    "database down": DatabaseDown,
    "redis down": RedisDown,
    "failed deploy": FailedDeploy,
    "bad release later": BadLater,
    "during a deploy": DuringDeploy,
    "two at once": TwoAtOnce,
}
TOLD: Mapping[str, Make] = {
    "off its network": OffNetwork,
    "full disk": FullDisk,
    "broken settings": BrokenSettings,
    "dead SSH server": DeadServer,
    "unreachable device": UnreachableDevice,
    "failing head": FailingHead,
    "flapping": Flapping,
    "restart in vain": RestartInVain,
}
FAULTS: Mapping[str, Make] = {**REPAIRED, **TOLD, "stale ticket": StaleTicket}
