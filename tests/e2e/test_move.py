"""A platform of one machine that moves to two servers with all of its data, and back; each way by its backup alone.

As docs/production.md says it. Slow: the servers are made for it, and this machine's platform is away meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import runs
from tests.e2e.support.backups import CANARY, PATIENCE, Bench, kill
from tests.e2e.support.deploys import Team
from tests.e2e.support.platform import Platform, eventually, read_topology
from tests.e2e.support.roles import as_role, data
from tests.servers import run as servers

pytestmark = [pytest.mark.slow, pytest.mark.one_host]

INVENTORY = "molecule/production/inventory"
# A first run builds all images and sends them.
SECONDS = 3000
# Where a platform on two servers has a volume of its own; on one host there is none.
BETWEEN = "audit-tunnel"
_FILES = 'find "$1" -type f ! -name .lock -printf "%P %m %U %G %s %T@ " -exec sha256sum {} \\; | sed "s| /.*||" | sort'


def files(platform: Platform, service: str, place: str) -> str:
    """Path, mode, owner, size, time and hash of the files in a directory of a container."""
    done = platform.run(service, "/bin/sh", "-c", _FILES, "sh", place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def logs(platform: Platform) -> dict[str, str]:
    """Every audit log of a platform, where it is written."""
    found = {}
    for service in platform.topology.audited():
        if not service.is_tunnel:
            # Who has had no call yet has no log.
            path = f"/shared/logs/audit/{service.name}.jsonl"
            done = platform.run(service.name, "sh", "-c", '[ ! -e "$1" ] || cat "$1"', "sh", path)
            assert done.returncode == 0, done.stderr
            found[service.name] = done.stdout
    return found


def secrets(platform: Platform) -> dict[str, str]:
    """The hashes of the keys and passwords that a platform has wherever it is."""
    own = re.compile(r"secrets/platform/checkout|(keys|host_keys)/(tunnel|docker-gateway)[^/]*/.*")
    return {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in platform.secrets.items()
        if not own.fullmatch(name)
    }


def kept(bench: Bench) -> dict[str, Any]:
    """What of a platform has to be the same after a move."""
    platform = bench.platform
    history = platform.run("git", "git", "--git-dir=/srv/git/app.git", "log", "--all", "--format=%H %an %s")
    assert history.returncode == 0, history.stderr
    rows = "SELECT count(*), sum(a), md5(string_agg(a || b, ',' ORDER BY a)) FROM backend.kept"
    return {
        "tickets": bench.tickets(),
        "ticket files": files(platform, "ssh-manager", "/shared/tickets"),
        "rows": bench.sql(rows),
        "refs": bench.refs(),
        "history": history.stdout,
        "releases": {
            bastion: files(platform, bastion, "/srv/releases")
            for bastion in ("ssh-frontend", "ssh-backend", "ssh-rpi3")
        },
        "release": Team(platform).known("frontend")["current"],
        "settings": {
            role: platform.run(f"ssh-{role}", "cat", f"/home/{role}/.env").stdout
            for role in ("manager", "autopilot", "monitor", "developer")
        },
        "secrets": secrets(platform),
    }


@dataclass
class Trip:
    """Both platforms and what is known of them.

    Attributes:
        here: that of this machine.
        there: that of the two servers.
        wanted: what the one had when it was backed up, see `kept`.
        logs: its audit logs then.
    """

    here: Bench
    there: Bench
    wanted: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def note(self, bench: Bench) -> None:
        """Back a platform up, and write down what it has."""
        self.wanted, self.logs = kept(bench), logs(bench.platform)
        bench.backup().ok()

    def compare(self, bench: Bench) -> None:
        """A platform has all that was written down, and nothing of the way is left."""
        bench.platform.wait_healthy(*bench.platform.names, timeout=180)
        found = kept(bench)
        # A platform on two servers has keys that one on this machine has no use for, and makes them.
        assert self.wanted["secrets"].items() <= found["secrets"].items()
        for name in self.wanted.keys() - {"secrets"}:
            assert found[name] == self.wanted[name], name
        for service, text in logs(bench.platform).items():
            # They go on, after what they were.
            assert text.startswith(self.logs[service]), service

        # Mirrors of logs are made anew, and take a moment.
        def whole() -> bool:
            said = json.loads(as_role(bench.platform, "monitor", "verify --json").stdout)["audit"]
            return bool(said) and not [log for log in said if log["problems"]]

        eventually(whole, "every audit log is whole, as the monitor sees it", timeout=120)
        assert bench.left() == []
        state = bench.platform.state
        assert [str(path) for path in state.parent.glob(f"{state.name}.*before-restore*")] == []


@pytest.fixture(scope="module")
def trip(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trip]:
    folder = tmp_path_factory.mktemp("move")
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text("a password of the tests\n")
    project = platform.topology.project
    topology = read_topology(INVENTORY)
    topology.project = project
    moved = Platform(topology, runs.ROOT / ".dockfra/molecule-production", vaulted=True)
    given = (*runs.VAULT, *runs.BUILT_HERE, "-e", f"dockfra_project={project}")
    # The way back opens the servers' vault, too.
    here = Bench(platform, folder / "repository", given=runs.VAULT, password_file=password)
    there = Bench(moved, folder / "repository", INVENTORY, given, password)
    servers.create()
    try:
        yield Trip(here, there)
    finally:
        servers.destroy()
        shutil.rmtree(folder)
        if not platform.ids():
            runs.playbook("site.yml", name="after-move").ok()


@pytest.fixture(scope="module")
def arrived(trip: Trip) -> Trip:
    """The platform of this machine, restored on the two servers, and gone here."""
    here, there = trip.here, trip.there
    team = Team(here.platform)
    team.push("Before the move", "echo '<!-- before the move -->' >>frontend/site/index.html")
    team.deploy("deploy-frontend")
    here.ticket("Before the move")
    here.sql("CREATE TABLE IF NOT EXISTS backend.kept (a int, b text)")
    here.sql(f"INSERT INTO backend.kept SELECT n, '{CANARY}' FROM generate_series(1, 500) n")
    as_role(here.platform, "manager", "config-developer LLM_SYSTEM_PROMPT=before")
    trip.note(here)
    leave(here)
    runs.playbook(
        "site.yml", *there.given, inventories=(INVENTORY,), name="move-servers", timeout=SECONDS
    ).ok()
    said = there.restore("-vvv").ok().output
    assert "to management-server: " in said
    assert "to app-server: " in said
    assert "Begun anew on management-server, from what is restored elsewhere: audit-elsewhere." in said
    for text in there.platform.secrets.values():
        assert [
            line for line in text.splitlines() if len(line) > 40 and line in said and "-----" not in line
        ] == []
    return trip


def leave(bench: Bench) -> None:
    """Remove the platform of this machine with its data."""
    confirmed = ("-e", f"dockfra_confirm={bench.platform.topology.project}")
    removed = ("-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false")
    runs.playbook("playbooks/teardown.yml", *removed, *confirmed, name="move-leave").ok()
    assert bench.platform.ids() == {}


def test_one_machine_moves_to_two_servers_with_all_it_has_finding_backup(arrived: Trip) -> None:
    there = arrived.there
    arrived.compare(there)
    again = runs.playbook(
        "site.yml", *there.given, inventories=(INVENTORY,), name="move-again", timeout=SECONDS
    )
    assert again.ok().changed == 0
    # Everything of it works on, over the link.
    number = there.ticket("After the move")
    assert data(as_role(there.platform, "developer", f"ticket-show {number} --json"))["id"] == number
    assert as_role(there.platform, "developer", "check-services").returncode == 0
    # Nothing in plain text is anywhere but in files of who needs it.
    key = there.platform.secrets["keys/tunnel/id_ed25519"].splitlines()[2]
    for path in there.platform.state.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_on_two_servers_a_restore_that_is_killed_goes_to_its_end_the_next_time_finding_backup(
    arrived: Trip,
) -> None:
    there = arrived.there
    for step, pause in (("Put everything beside what is there, and compare", 5), ("Put it in its place", 8)):
        there.ticket("To be gone")
        there.sql("DELETE FROM backend.kept WHERE a > 100")
        started = runs.start(
            "playbooks/restore.yml", *there.restoring("-v"), inventories=(INVENTORY,), name="move-killed"
        )
        started.wait_for(re.escape(step) + r"\]", PATIENCE)
        time.sleep(pause)
        kill(started)
        there.restore().ok()
        arrived.compare(there)


def test_two_servers_move_back_to_one_machine_finding_backup(arrived: Trip) -> None:
    here, there = arrived.here, arrived.there
    there.ticket("Before the way back")
    there.sql("DELETE FROM backend.kept WHERE a > 400")
    arrived.note(there)
    refused = here.restore()
    assert refused.code != 0
    assert f"no place for {BETWEEN} (of management-server, " in " ".join(refused.errors), refused.output[
        -2000:
    ]
    assert not here.platform.state.exists()
    assert not Path(f"{here.platform.state}.restore-run").exists()
    assert here.platform.ids() == {}
    here.restore("-e", f"dockfra_restore_without={BETWEEN}").ok()
    arrived.compare(here)
    assert runs.playbook("site.yml", name="move-back").ok().changed == 0
    assert here.ticket("After the way back") not in arrived.wanted["tickets"]
    # What came with it is taken back for whoever tests further.
    with Team(here.platform).own_code():
        pass
