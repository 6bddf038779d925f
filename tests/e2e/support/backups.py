"""A platform with backups: what is in it, and what a restore must not leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import runs
from .platform import Platform
from .roles import as_role, data

# Long enough for a backup or a restore on a busy machine.
PATIENCE = 900
CANARY = "canary-of-the-backup-7f3a91"


@dataclass
class Bench:
    """A platform and a repository of the tests' own.

    Attributes:
        platform: the platform.
        repository: where its backups are.
        inventory: that of its runs.
        given: further options of its runs.
        password_file: the one with the repository's password, where it is not in the state directory.
    """

    platform: Platform
    repository: Path
    inventory: str = runs.INVENTORY
    given: tuple[str, ...] = ()
    password_file: Path | None = None

    @property
    def options(self) -> tuple[str, ...]:
        named = ("-e", f"dockfra_backup_password_file={self.password_file}") if self.password_file else ()
        return (*self.given, "-e", f"dockfra_backup_repository={self.repository}", *named)

    @property
    def password(self) -> Path:
        return self.password_file or self.platform.state / "backup_password"

    def run(self, playbook: str, *options: str, name: str = "") -> runs.Run:
        """Run a playbook for the platform."""
        return runs.playbook(playbook, *options, inventories=(self.inventory,), name=name, timeout=PATIENCE)

    def backup(self, *options: str) -> runs.Run:
        return self.run("playbooks/backup.yml", *self.options, *options)

    def restore(self, *options: str) -> runs.Run:
        return self.run("playbooks/restore.yml", *self.restoring(*options))

    def restoring(self, *options: str) -> tuple[str, ...]:
        return (*self.options, "-e", f"dockfra_confirm={self.platform.topology.project}", *options)

    def sql(self, statement: str) -> str:
        """What PostgreSQL's superuser is answered inside the container."""
        line = 'exec psql -h /run/postgresql -p "$DOCKFRA_PORT_POSTGRES" -U postgres -d app -At -v ON_ERROR_STOP=1 -c "$1"'
        done = self.platform.run("db", "/bin/sh", "-c", line, "sh", statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ticket(self, title: str) -> str:
        made = data(
            as_role(self.platform, "manager", f"ticket-create '{title}' --desc {CANARY} --assign none --json")
        )
        return str(made["id"])

    def tickets(self) -> dict[str, str]:
        """Title by id, of every ticket."""
        listed = data(as_role(self.platform, "manager", "ticket-list --json"))
        tickets = listed["tickets"] if isinstance(listed, dict) else listed
        return {ticket["id"]: ticket["title"] for ticket in tickets}

    def refs(self) -> str:
        done = self.platform.run("git", "git", "--git-dir=/srv/git/app.git", "for-each-ref")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def owned(self) -> str:
        """Mode, owner, size and time of the files that people would miss first."""
        found = []
        for service, place in (
            ("ssh-manager", "/shared/tickets"),
            ("ssh-manager", "/home/manager/.env"),
            ("ssh-developer", "/home/developer/.env"),
            ("git", "/srv/git/app.git/config"),
            ("ssh-frontend", "/srv/releases"),
        ):
            line = 'find "$1" -type f ! -name .lock -printf "%p %m %U %G %s %T@\\n" | sort'
            done = self.platform.run(service, "/bin/sh", "-c", line, "sh", place)
            assert done.returncode == 0, done.stderr
            found.append(done.stdout)
        return "\n".join(found)

    def chains(self) -> None:
        """Every audit log is whole, as the monitor sees it."""
        logs = json.loads(as_role(self.platform, "monitor", "verify --json").stdout)["audit"]
        assert logs
        assert {log["file"]: log["problems"] for log in logs if log["problems"]} == {}

    def left(self) -> list[str]:
        """What a run may not leave behind: copies, databases, directories beside the volumes."""
        databases = self.sql("SELECT datname FROM pg_database WHERE datname LIKE '%dockfra%'").split()
        found = [f"database {name}" for name in databases]
        for path in (f"{self.platform.state}.backup-run", f"{self.platform.state}.restore-run"):
            found += [path] if os.path.lexists(path) else []
        ours = {"label": f"dockfra.project={self.platform.topology.project}"}
        for engine in self.platform.engines.values():
            for volume in engine.client.volumes.list(filters=ours):
                folder = engine.path(volume.attrs["Mountpoint"]).parent
                found += [str(path) for path in folder.glob("dockfra.*")]
        return found


def kill(started: runs.Started) -> None:
    """End a run and all that it has started, at once."""
    for pid in descendants(started.process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    started.process.wait()


def descendants(pid: int) -> list[int]:
    """A process and all below it, whatever sessions they made."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found
