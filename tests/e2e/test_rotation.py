"""Keys and passwords become others while everybody works: nobody is locked out, the old ones are refused, no container is made anew."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import rotation
from tests.e2e.support import edges, runs
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE

pytestmark = pytest.mark.slow

PLAYBOOK = "playbooks/rotate_keys.yml"
# A full rotation changes 13 secrets, each with three plans.
PATIENCE = 1500
# The tasks of playbooks/tasks/rotate.yml after which a run is stopped, and what is left then.
STEPS = [
    "Make a new one beside it",
    "Prove the new one",
    "Use it from now on",
    "Prove what is used now",
    "Forget the old one",
    "Let it be refused",
    "Take note",
]
# Of one in each container's log and in Ansible's: tasks by their names, one after the other.
PLAIN = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


@pytest.fixture(autouse=True)
def as_it_was(platform: Platform) -> Iterator[None]:
    """The users of the logins are the first ones again afterwards, which other tests know by name."""
    yield
    for _time in range(2):
        second = [
            name.removeprefix("secrets/")
            for name, content in sorted(platform.secrets.items())
            if name.startswith("secrets/")
            and content.strip().endswith(f"\n{changes.second_user(name.rpartition('/')[2])}")
        ]
        if not second and not (platform.state / changes.JOURNAL).exists():
            return
        chosen = ["-e", f"dockfra_rotate={','.join(second)}"] if second else []
        runs.playbook(PLAYBOOK, *chosen, name="rotation-back", timeout=PATIENCE).ok()
    raise AssertionError("the logins do not come back to their first users")


def rotate(*options: str, name: str = "rotation") -> runs.Run:
    return runs.playbook(PLAYBOOK, *options, name=name, timeout=PATIENCE)


def login(platform: Platform, key: Path, role: str) -> subprocess.CompletedProcess[str]:
    """Log in to a role's container with one key and no other."""
    service = platform.topology.services[SERVICE[role]]
    return subprocess.run(
        [
            *("ssh", "-F", "none", "-n", "-i", str(key), "-p", str(platform.published(service.name, "ssh"))),
            *(
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "IdentityAgent=none",
                "-o",
                "ControlPath=none",
            ),
            *(
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                f"UserKnownHostsFile={platform.state / 'known_hosts'}",
            ),
            *(
                "-o",
                f"HostKeyAlias={service.name}",
                f"{service.user}@{platform.engine(service.name).address}",
                "true",
            ),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )


def kept(platform: Platform, folder: Path) -> dict[str, Path]:
    """Copies of the private keys of the roles."""
    found = {}
    for role in edges.ROLES:
        found[role] = folder / role
        shutil.copy(platform.key(role), found[role])
        found[role].chmod(0o600)
    return found


def lives(platform: Platform) -> dict[str, str]:
    """When each container was started, by its id."""
    return {
        f"{name} {platform.container(name).id}": str(platform.container(name).attrs["State"]["StartedAt"])
        for name in platform.names
    }


def secret_of(platform: Platform, name: str) -> str:
    """What is in use now: a password, or a private key."""
    found = platform.secrets
    return found.get(f"{name}/id_ed25519") or found[f"secrets/{name}"]


def test_all_of_them_while_everybody_works(platform: Platform, tmp_path: Path) -> None:
    old = kept(platform, tmp_path)
    passwords = {name: platform.secret(name) for name in ("db/backend", "db/mobile", "redis/backend")}
    before = lives(platform)
    with edges.probed(platform) as probes, edges.requested(platform) as requests:
        time.sleep(10)
        begin = time.monotonic()
        run = rotate()
        ended = time.monotonic()
        refused = {role: login(platform, key, role) for role, key in old.items()}
        seconds = time.monotonic() - ended
        time.sleep(10)
    run.ok()
    print(f"rotation {ended - begin:.0f} s; logins {probes.good}; requests {requests.good}")
    assert probes.failures == []
    assert requests.failures == []
    assert all(count > 20 for count in probes.good.values()), probes.good
    assert sum(requests.good.values()) > 20 * (ended - begin)
    for role, done in refused.items():
        assert done.returncode == 255, role
        assert "Permission denied" in done.stderr
        assert login(platform, platform.key(role), role).returncode == 0
    assert seconds < 60
    assert lives(platform) == before
    for name, password in passwords.items():
        new, user = platform.secret(name).split("\n")
        assert new != password
        assert user == changes.second_user(name)
        # The old login is locked.
        server = name.partition("/")[0]
        text = f"{changes.first_user(name)}\n{password}\n"
        assert platform.run(server, "/usr/local/bin/login-proved", text=text).returncode == 1
    settled = runs.playbook("site.yml", name="rotation-settled").ok()
    assert settled.changed == 0
    assert lives(platform) == before
    for secret in (*passwords.values(), *(platform.secret(name).split("\n")[0] for name in passwords)):
        assert secret not in run.output


@pytest.mark.parametrize("word", ["developer", "db/mobile"])
def test_stopped_at_each_step_and_run_again(platform: Platform, word: str, tmp_path: Path) -> None:
    name = f"keys/{word}" if word in edges.ROLES else word
    old = kept(platform, tmp_path)
    with edges.probed(platform) as probes, edges.requested(platform) as requests:
        for step in STEPS:
            first = secret_of(platform, name)
            started = runs.start(
                PLAYBOOK,
                "-e",
                f"dockfra_rotate={word}",
                env=PLAIN,
                name=f"rotation-cut-{word.replace('/', '-')}",
            )
            started.wait_for(rf"^TASK \[{re.escape(step)}\]", timeout=PATIENCE)
            time.sleep(0.3)
            started.kill(signal.SIGKILL)
            started.process.wait()
            time.sleep(2)
            assert probes.failures == [], step
            assert requests.failures == [], step
            again = (
                rotate(name=f"rotation-again-{word.replace('/', '-')}")
                if (platform.state / changes.JOURNAL).exists()
                else None
            )
            if again:
                again.ok()
                assert "An earlier rotation goes on" in again.output
            assert not (platform.state / changes.JOURNAL).exists()
            assert first != secret_of(platform, name)
            assert not [each for each in platform.secrets if each.endswith((changes.NEXT, changes.OLD))]
    assert probes.failures == []
    assert requests.failures == []
    if word in old:
        assert login(platform, old[word], word).returncode == 255
    assert runs.playbook("site.yml", name="rotation-settled").ok().changed == 0


def test_host_keys_while_everybody_works(platform: Platform) -> None:
    names = ["git", "ssh-developer"]
    path = platform.state / "known_hosts"
    pinned = {line.split()[2] for line in path.read_text().splitlines() if line.startswith("ssh-developer,")}
    before = lives(platform)
    with edges.probed(platform) as probes:
        time.sleep(10)
        words = ",".join(f"host_keys/{name}" for name in names)
        rotate("-e", f"dockfra_rotate={words}", name="rotation-host-keys").ok()
        time.sleep(10)
    # At the moment in which a server takes up its key nobody listens there, for about 10 ms.
    others = [failure for failure in probes.failures if "Connection refused" not in failure]
    assert others == []
    assert len(probes.failures) <= len(names), probes.failures
    assert all(count > 10 for count in probes.good.values()), probes.good
    assert lives(platform) == before
    now = {line.split()[2] for line in path.read_text().splitlines() if line.startswith("ssh-developer,")}
    assert len(now) == 1
    assert not now & pinned
    assert login(platform, platform.key("developer"), "developer").returncode == 0
    assert runs.playbook("site.yml", name="rotation-settled").ok().changed == 0
    assert lives(platform) == before


def test_what_would_be_changed_is_told_and_stays(platform: Platform) -> None:
    before = platform.snapshot()
    run = rotate("--check", "-e", "dockfra_rotate=manager,db/backend", name="rotation-check").ok()
    assert "Would be changed: keys/manager, db/backend" in run.output
    assert platform.snapshot() == before
    wrong = rotate("-e", "dockfra_rotate=manger", name="rotation-wrong")
    assert wrong.code != 0
    assert "Did you mean 'manager'?" in wrong.output
    assert platform.snapshot() == before
    assert rotation.KEYS in wrong.output
