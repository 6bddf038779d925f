"""Every secret is where it is needed and nowhere else: while a platform is set up, deploys, changes its keys, and has a working day.

All of a platform's own secrets are the canaries, with the keys of models and of GitHub that the roles are given. Looked at is what
every process of this machine had as arguments and environment meanwhile, every file that was written below Docker's directory, on each
server, in the state directory and in the reports (what `-vvv` printed among them), what Docker tells of containers and images, each
object of the git origin, and what models and GitHub were sent.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests.e2e.conftest import remove
from tests.e2e.support import github, openrouter, runs
from tests.e2e.support.deploys import QUICK, Team
from tests.e2e.support.engines import as_root
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import as_role, data
from tests.e2e.test_autopilot import Pilot, eventually
from tests.fakes.github import FakeGitHub
from tests.fakes.openrouter import FakeOpenRouter, Turn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="pending: reads what belongs to others, so it needs root"),
]

ROTATED = ("db/backend", "redis/backend", "developer")
# Bytes of arguments and environments that are kept to be looked at.
MOST_SEEN = 256 << 20
# The services that have a password: its server, and who logs in with it. (Keys name their own: keys/<key>, host_keys/<service>.)
HOLDERS = {
    "backend/api_token": {"backend", "rpi3"},
    "backend/deployments_token": {"backend", "ssh-monitor"},
    "redis/health": {"redis", "ssh-monitor"},  # the watch probes with it
    "tls/server.key": {"traefik"},
}
# Scripts give redis-cli its password in its environment, which nobody but its own user and root read; the other ways are its arguments and a prompt.
_REDIS = re.compile(rb"(?<=REDISCLI_AUTH=)[^\0]*")
_SERVICE = re.compile(r"/var/lib/dockfra/[^/]+/services/([^/]+)/")
_VOLUME = re.compile(r".*/volumes/([^/]+)/_data/(.*)")


class Seen:
    """What processes had as arguments and environment, each once.

    Attributes:
        texts: those, by the name of the file in /proc.
        rounds: how often all processes were looked at.
    """

    def __init__(self) -> None:
        self.texts: dict[str, set[bytes]] = {"cmdline": set(), "environ": set()}
        self.rounds = 0
        self._size = 0

    def look(self) -> None:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name, known in self.texts.items():
                try:
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                except OSError:
                    continue
                if content not in known:
                    self._size += len(content)
                    assert self._size < MOST_SEEN, "more was seen than can be kept"
                    known.add(content)
        self.rounds += 1


@contextmanager
def processes_seen() -> Iterator[Seen]:
    """Look at all processes of this machine, servers' among them, over and over."""
    seen, ended, failed = Seen(), threading.Event(), []

    def watch() -> None:
        try:
            while not ended.wait(0.05):
                seen.look()
        except AssertionError as error:
            failed.append(error)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert failed == []


def needle(secret: str) -> str:
    """The part of a secret that nothing else has: the first line of a password, of a private key one behind what all keys begin with."""
    lines = secret.strip().splitlines()
    if "PRIVATE KEY" in lines[0]:
        return lines[-3]
    return lines[0]


def needles(platform: Platform) -> dict[str, str]:
    """Name by needle, of what is secret now; salts are for everybody who may read a verifier."""
    return {
        needle(secret): name
        for name, secret in platform.secrets.items()
        if not name.endswith(("_salt", "/checkout", "pub"))
    }


def written_since(moment: float, roots: Iterable[str]) -> list[str]:
    """Every file below some directories whose content or status was changed since a moment; what Docker mounts is there once."""
    listed = subprocess.run(
        as_root(
            *("find", *roots, "-name", "merged", "-prune", "-o"),
            *("-type", "f", "-newerct", f"@{int(moment)}", "-print0"),
        ),
        capture_output=True,
        timeout=600,
    )
    return [os.fsdecode(name) for name in listed.stdout.split(b"\0")[:-1]]


def hits_in_files(names: list[str], canaries: Mapping[str, str]) -> dict[str, set[str]]:
    """The names of the secrets that each file holds."""
    assert names, "nothing was written at all"
    holding: list[str] = []
    for first in range(0, len(names), 1000):
        command = as_root(
            "grep", "-lsF", "--binary-files=text", "-f", "-", "--", *names[first : first + 1000]
        )
        text = "".join(f"{word}\n" for word in canaries)
        holding += subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=600
        ).stdout.splitlines()
    return {name: hits(Path(name).read_bytes(), canaries) for name in holding}


def hits(content: bytes, canaries: Mapping[str, str]) -> set[str]:
    return {name for word, name in canaries.items() if word.encode() in content}


def belongs(platform: Platform, path: str, name: str) -> bool:
    """Whether a file is a place where a secret is needed."""
    if path == str(platform.state / name) or path.startswith(f"{platform.state}/keys-of-tests/"):
        return True  # the operator's, as files or for one command; a vault shows none
    if name.startswith("setting/"):
        *_, role, _setting = name.split("/")
        found = _VOLUME.fullmatch(path)
        home = platform.topology.volume_name(f"{role}-home")
        return bool(found and found.groups() == (home, ".env"))
    found = _SERVICE.search(path)
    return bool(found and found[1] in holders(platform, name))


def holders(platform: Platform, name: str) -> set[str]:
    """The services that need a secret."""
    kind, _, rest = name.partition("/")
    services = platform.topology.services.values()
    if kind == "keys":
        return {service.name for service in services if service.client_key == rest.partition("/")[0]}
    if kind == "host_keys":
        return {rest.partition("/")[0]}
    if name in HOLDERS:
        return HOLDERS[name]
    server, _, user = rest.partition("/")
    if f"{server}/{user}" in HOLDERS:
        return HOLDERS[f"{server}/{user}"]
    users = {
        "mobile": "mobile-backend",
        "developer": "ssh-developer",
        "monitor": "ssh-monitor",
        "watch": "ssh-monitor",
    }
    place = {"vnc": "vnc-rpi3"}.get(server, server)
    return {place, users.get(user, user)}


def everything_git_has(platform: Platform) -> bytes:
    """Each object of the origin, unpacked."""
    command = ("git", "--git-dir=/srv/git/app.git", "cat-file", "--batch-all-objects", "--batch")
    done = subprocess.run(platform.exec("git", *command), capture_output=True, timeout=120)
    assert len(done.stdout) > 10_000, done.stderr
    return done.stdout


def told_by_docker(platform: Platform) -> bytes:
    """What every engine says of containers, images, their history, volumes and networks."""
    parts: list[object] = []
    for engine in platform.engines.values():
        api = engine.client.api
        parts += [api.inspect_container(each["Id"]) for each in api.containers(all=True)]
        parts += [api.inspect_image(each["Id"]) for each in api.images()]
        parts += [api.history(each["Id"]) for each in api.images()]
        parts += [api.volumes(), api.networks()]
    return json.dumps(parts).encode()


def working_day(platform: Platform, models: FakeOpenRouter, hub: FakeGitHub) -> None:
    """People, a model and the autopilot at work."""
    made = data(as_role(platform, "manager", "ticket-create 'A working day' --priority=high --json"))["id"]
    for role, line in (
        ("developer", f"ticket-work {made}"),
        ("developer", f"ticket-comment {made} 'Half done'"),
        ("manager", f"ticket-push {made}"),
        ("manager", "ticket-pull"),
        ("manager", "config-show all"),
        ("monitor", "status"),
        ("monitor", "verify"),
        ("monitor", f"docker logs {platform.topology.container_name('backend')}"),
        ("developer", "check-services"),
    ):
        done = as_role(platform, role, line)
        assert done.returncode == 0, (role, line, done.stderr)
    for role in openrouter.ROLES:
        models.script(Turn("As ever."))
        done = as_role(platform, role, "ask 'What is here?' --file ~/.env --file /etc/dockfra/ssh/id_ed25519")
        assert done.returncode == 0, done.stderr
    assert hub.issues()
    pilot = Pilot(platform)
    pilot.forget()
    pilot.set(AUTOPILOT_INTERVAL=5, AUTOPILOT_MODE="act", AUTOPILOT_ENABLED="true")
    try:
        platform.container("desktop-app").kill()
        eventually(lambda: ("request-restart", "desktop-app") in pilot.did(), "it was not restarted")
    finally:
        pilot.set(AUTOPILOT_INTERVAL="", AUTOPILOT_MODE="", AUTOPILOT_ENABLED="false")
        pilot.forget()


def test_from_set_up_to_a_working_day_no_secret_is_where_it_is_not_needed(platform: Platform) -> None:
    since = time.time()
    printed: list[str] = []

    def run(path: str, *options: str, name: str) -> None:
        done = runs.playbook(path, "-vvv", *options, name=name, timeout=1500).ok()
        printed.append(done.log.read_text(errors="replace"))

    with processes_seen() as seen:
        remove(platform, "canaries-remove")
        run("site.yml", name="canaries-site")
        for line in ("config-monitor MONITOR_AUTO_DEPLOY=false", "config-autopilot AUTOPILOT_ENABLED=false"):
            assert as_role(platform, "manager", line).returncode == 0
        canaries = needles(platform)
        team = Team(platform)
        with (
            team.own_code(),
            github.fake_github(platform) as hub,
            openrouter.fake_openrouter(platform) as models,
        ):
            team.push("A release", QUICK)
            team.deploy("deploy-all")
            run(
                "playbooks/rotate_keys.yml",
                "-e",
                f"dockfra_rotate={','.join(ROTATED)}",
                name="canaries-rotate",
            )
            canaries |= needles(platform)
            given = {openrouter.KEY: [f"setting/{role}/OPENROUTER_API_KEY" for role in openrouter.ROLES]}
            given[github.TOKEN] = ["setting/manager/GITHUB_TOKEN"]
            working_day(platform, models, hub)
            run("site.yml", name="canaries-again")
            # While all is as it was at work: afterwards what was set is taken back.
            roots = [docker.from_env().info()["DockerRootDir"], "/var/lib/dockfra", str(platform.state)]
            names = written_since(since, [*roots, str(runs.REPORTS)])
            asked = [request.text for request in models.requests if request.path.endswith("/completions")]
            sent = [json.dumps(issue) for issue in hub.issues()]
            origin, docker_says = everything_git_has(platform), told_by_docker(platform)
    assert seen.rounds > 100
    # Of every kind, and with those that were changed, from before and after.
    assert {name.partition("/")[0] for name in canaries.values()} == {"secrets", "tls", "keys", "host_keys"}
    assert len(canaries) > len(needles(platform))
    every = {**canaries, **{word: f"{'|'.join(names)}" for word, names in given.items()}}
    elsewhere = {
        "arguments": b"\0".join(seen.texts["cmdline"]),
        "environments": _REDIS.sub(b"", b"\0".join(seen.texts["environ"])),
        "output of -vvv": "".join(printed).encode(),
        "git": origin,
        "docker": docker_says,
        "models": "".join(asked).encode(),
        "GitHub": "".join(sent).encode(),
    }
    assert {what: found for what, text in elsewhere.items() if (found := hits(text, every))} == {}
    in_files = hits_in_files(names, every)
    told = {name for held in in_files.values() for name in held}
    # The look itself sees: what is used lies somewhere.
    assert len(told) > 30, told
    wrong = {
        path: sorted(
            name for name in held if not any(belongs(platform, path, one) for one in name.split("|"))
        )
        for path, held in in_files.items()
    }
    assert {path: held for path, held in wrong.items() if held} == {}
