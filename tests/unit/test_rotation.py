"""Keys and logins of the project's own inventory change while everybody who may log in can, cut at whatever step."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.module_utils.containers.labels import LABEL_CONFIG
from ansible_collections.dockfra.core.plugins.module_utils.errors import UsageError
from ansible_collections.dockfra.core.plugins.module_utils.files import tree
from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes, keyring
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import (
    keyrings,
    operator_files,
    rotation,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Desired, Platform
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port

from . import sshds
from .platforms import load_platform

BLOB = re.compile(r"ssh-ed25519 (\S+)")
# The SSH servers of the local platform.
SERVERS = [
    "git",
    "rpi3",
    *(
        f"ssh-{name}"
        for name in ("autopilot", "backend", "developer", "frontend", "manager", "monitor", "rpi3")
    ),
]
GIVEN = [("default", VaultSecret(b"a password of the tests"))]
# Of all services those whose files hold these secrets.
SERVICES = {
    "keys/autopilot": ["ssh-manager", "ssh-autopilot", "ssh-developer", "git"],
    "keys/vnc-rpi3": ["rpi3", "vnc-rpi3"],
    "db/backend": ["db", "backend"],
    "redis/backend": ["redis", "backend"],
    "host_keys/git": ["git", "ssh-manager", "ssh-developer"],
}


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the vault."""
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(GIVEN))


@dataclass
class Site:
    """The platform on a disk of its own: what its containers see of their configuration, and the state directory.

    Attributes:
        folder: both of them, in ``disk`` and ``state``.
        names: the services.
        vault: whether its secrets are in a file of Ansible Vault, which lies in the state directory here.
        after: is called after each change on either.
    """

    folder: Path
    names: list[str]
    vault: bool = False
    after: Callable[[], None] = field(default=lambda: None)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @cached_property
    def platform(self) -> Platform:
        path = self.folder / "changes.yml"
        variables = {"dockfra_state_dir": str(self.state)}
        if self.vault:
            variables["dockfra_vault_file"] = str(self.state / "vault.yml")
        path.write_text(yaml.safe_dump({"all": {"vars": variables}}))
        return load_platform(path, only=self.names, keep=True)

    def ring(self) -> Keyring:
        """The secrets as a new process has them."""
        keyrings._opened.clear()
        return self.platform.keyring()

    def desired(self) -> dict[str, Desired]:
        keyrings._opened.clear()  # as in a new process
        return {name: self.platform.desired(name) for name in self.names}

    def put(self, order: list[str] | None = None) -> None:
        """Write what differs, one service after the other, as the playbook does between two steps."""
        found = self.desired()
        for name in order or self.names:
            tree.apply(self.folder / "disk" / name, found[name].files)
            self.after()

    def copy(self, there: Path) -> None:
        """Keep a copy of all there is, or bring it back."""
        for part in ("state", "disk"):
            shutil.rmtree(there / part, ignore_errors=True)
            shutil.copytree(self.folder / part, there / part)

    def read(self, name: str, path: str) -> str:
        return (self.folder / "disk" / name / path).read_text()


def steps(site: Site, name: str) -> Iterator[Callable[[], object]]:
    """What the playbook does for a secret, proofs left out."""
    change = site.ring().change(name)
    make: Callable[[str], str] = lambda text: (  # noqa: E731
        keyring.new_ssh_key()
        if keyring.is_ssh_key(name)
        else changes.other_login(name, text, keyring.new_password())
    )
    yield lambda: change.add(make)
    yield site.put
    yield change.switch
    yield lambda: site.put(site.names[::-1])
    yield change.retire
    yield site.put
    yield lambda: changes.Journal(site.state).done(name)


def keys_open_their_doors(site: Site, name: str) -> None:
    """The key in its container, and that of the person, are admitted wherever they were before."""
    owner = name.removeprefix("keys/")
    ring = site.ring()
    private = {"state": ring.ssh_private_key(name)}
    for service in site.names:
        path = site.folder / "disk" / service / "ssh/id_ed25519"
        if service.endswith(owner) and path.exists():
            private[service] = path.read_text()
    assert len(private) == 2
    for where, text in private.items():
        blob = BLOB.findall(ring._public(name, text))[0]
        for service in site.names:
            admitted = (
                site.read(service, "ssh/authorized_keys")
                if (site.folder / "disk" / service / "ssh/authorized_keys").exists()
                else ""
            )
            if f"dockfra-{owner}" in admitted:
                assert blob in admitted, f"{where} is locked out of {service}"


def login_is_admitted(site: Site, name: str) -> None:
    """What the backend logs in with is what the server has been told last."""
    server, _slash, _user = name.partition("/")
    section = json.loads(site.read("backend", "backend.json"))["database" if server == "db" else "cache"]
    if server == "db":
        wanted = f"ALTER ROLE {section['user']} LOGIN PASSWORD '{section['password']}';"
        assert wanted in site.read("db", "postgresql/logins.sql")
    else:
        wanted = f"user {section['user']} on sanitize-payload #{hashlib.sha256(section['password'].encode()).hexdigest()} "
        assert wanted in site.read("redis", "redis/users.acl")


def host_key_is_pinned(site: Site, name: str) -> None:
    """What the server has in its configuration, is each of its callers willing to take."""
    server = name.removeprefix("host_keys/")
    blob = BLOB.findall(site.ring()._public(name, site.read(server, "ssh/ssh_host_ed25519_key")))[0]
    for service in site.names:
        if service != server:
            assert f"{server} ssh-ed25519 {blob}\n" in site.read(service, "ssh/known_hosts"), service


def secret(site: Site, name: str) -> str:
    """What is used."""
    ring = site.ring()
    return ring.ssh_private_key(name) if keyring.is_ssh_key(name) else ring.password(name)


CHECKS = {
    "keys": keys_open_their_doors,
    "host_keys": host_key_is_pinned,
    "db": login_is_admitted,
    "redis": login_is_admitted,
}


def check(site: Site, name: str) -> None:
    CHECKS[name.partition("/")[0]](site, name)


@pytest.mark.parametrize(
    ("name", "vault"), [*((name, False) for name in SERVICES), ("keys/vnc-rpi3", True), ("db/backend", True)]
)
def test_nobody_is_locked_out_at_any_step_and_no_container_is_made_anew(
    tmp_path: Path, name: str, vault: bool
) -> None:
    site = Site(tmp_path, SERVICES[name], vault)
    site.put()
    before = {service: entry.container["labels"][LABEL_CONFIG] for service, entry in site.desired().items()}
    site.after = lambda: check(site, name)
    former = secret(site, name)
    for step in steps(site, name):
        step()
        check(site, name)
        labels = {
            service: entry.container["labels"][LABEL_CONFIG] for service, entry in site.desired().items()
        }
        assert labels == before
    assert secret(site, name) != former
    # Nothing of the old one is left anywhere.
    ring = site.ring()
    gone = BLOB.findall(ring._public(name, former))[0] if keyring.is_ssh_key(name) else former
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(gone in text for text in texts)
    if vault:
        assert (site.state / "vault.yml").read_text().startswith("$ANSIBLE_VAULT;")
        private = {
            path for path in site.state.rglob("*") if path.is_file() and path.suffix not in (".pub", ".crt")
        }
        assert {path.name for path in private} == {"vault.yml", "vault.lock", "vault.note"}


@pytest.mark.parametrize("vault", [False, True])
@pytest.mark.parametrize("name", ["keys/vnc-rpi3", "db/backend", "host_keys/git"])
def test_stopped_after_each_step_and_run_again_it_ends_the_same(
    tmp_path: Path, name: str, vault: bool
) -> None:
    site = Site(tmp_path / "site", SERVICES[name], vault)
    site.folder.mkdir()
    site.put()
    changes.Journal(site.state).begin([name])
    site.copy(tmp_path / "begin")
    first = secret(site, name)
    for number in range(len(list(steps(site, name)))):
        Site(tmp_path / "begin", []).copy(site.folder)
        for step in list(steps(site, name))[: number + 1]:
            step()
        check(site, name)
        left = changes.Journal(site.state).left()
        assert left == ([] if number == 6 else [name])
        for each in left:
            for step in steps(site, each):
                step()
                check(site, name)
        assert changes.Journal(site.state).left() == []
        ring = site.ring()
        assert len(ring.ssh_admitted(name) if keyring.is_ssh_key(name) else ring.logins(name)) == 1
        assert secret(site, name) != first


def write_operator_files(site: Site) -> None:
    """What the playbook does for the person here, at the end of each step."""
    keyrings._opened.clear()  # as in a new process
    files, folder = operator_files.render(site.platform), operator_files.directory(site.platform)
    operator_files.write(folder, files, operator_files.stale(folder, files))
    assert operator_files.stale(folder, files) == []


def halves_of_another(state: Path) -> list[Path]:
    """The public halves beside a private key that is not theirs."""
    made = Keyring(state)._public
    return [
        path
        for path in state.glob("keys/*/id_ed25519.pub")
        if path.with_suffix("").exists()
        and made("keys/x", path.with_suffix("").read_text()).split()[1] != path.read_text().split()[1]
    ]


def rotated(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch, look: Callable[[str], object]
) -> Iterator[None]:
    """Change a key in all its steps; ``look`` is called after each change on the disk with what it was, and the caller goes on after each step."""

    def watched(call: Callable[..., object]) -> Callable[..., object]:
        def done(*arguments: object, **options: object) -> object:
            result = call(*arguments, **options)
            look(f"after {call.__name__} of {arguments}")
            return result

        return done

    with monkeypatch.context() as patched:
        for call in (os.rename, os.replace, os.link, os.unlink):
            patched.setattr(os, call.__name__, watched(call))
        for step in steps(site, name):
            step()
            site.desired()
            write_operator_files(site)
            yield


@dataclass
class InTheMiddle:
    """Somebody who logs in all the time: ssh reads the public half of a key, and the private one later.

    Attributes:
        folder: where the key lies.
    """

    folder: Path
    public: str = ""

    def _halves(self) -> dict[str, str]:
        """The public half of each private key that ssh is told of, by its file."""
        made = Keyring(self.folder)._public
        files = [self.folder / f"id_ed25519{end}" for end in ("", changes.OLD)]
        return {file.name: made("keys/x", file.read_text()).split()[1] for file in files if file.exists()}

    def goes_on(self) -> bool:
        """Whether what was offered the last time can be signed now; the next login begins."""
        halves = self._halves()
        signed = not self.public or self.public in halves.values()
        self.public = halves.get("id_ed25519", self.public)
        return signed


@pytest.mark.parametrize("vault", [False, True])
def test_who_is_in_the_middle_of_a_login_gets_in_while_the_key_is_replaced(
    tmp_path: Path, vault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "keys/manager"
    site = Site(tmp_path, ["ssh-manager", "ssh-developer"], vault)
    site.put()
    write_operator_files(site)
    callers = [InTheMiddle(site.state / name), InTheMiddle(tmp_path / "disk/ssh-manager/ssh")]
    seen: set[str] = set()

    def look(change: str) -> None:
        for caller in callers:
            assert caller.goes_on(), f"{caller.folder} {change}"
            seen.add(caller.public)

    config = site.state / "ssh_config"
    told = [f'IdentityFile "{site.state / name}/id_ed25519{end}"' for end in ("", changes.OLD)]
    for _step in rotated(site, name, monkeypatch, look):
        changing = site.ring().changing(name)
        assert [line in config.read_text() for line in told] == [True, changing]
    assert len(seen) == 2, "the key was not replaced"
    assert not list(tmp_path.rglob(f"*{changes.OLD}"))


@pytest.mark.parametrize("vault", [False, True])
def test_at_no_time_has_a_private_key_the_public_half_of_another_beside_it(
    tmp_path: Path, vault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "keys/manager"
    site = Site(tmp_path, ["ssh-manager", "ssh-developer"], vault)
    site.put()
    write_operator_files(site)
    files = [site.state / name / file for file in ("id_ed25519", "id_ed25519.pub")]
    before = [file.read_text() for file in files]
    seen: list[str] = []

    def look(change: str) -> None:
        seen.append(change)
        assert halves_of_another(site.state) == [], change

    for _step in rotated(site, name, monkeypatch, look):
        pass
    assert seen
    after = [file.read_text() for file in files]
    assert set(before).isdisjoint(after)
    assert [file.stat().st_mode & 0o777 for file in files] == [0o400 if vault else 0o600, 0o600]
    # What is missing is brought back beside what is there.
    for file, text in zip(files, after, strict=True):
        if vault or file.suffix:
            file.unlink()
            site.desired()
            write_operator_files(site)
            assert file.read_text() == text
            assert halves_of_another(site.state) == []


@dataclass
class Client:
    """A container's ssh, whose files are replaced in the middle of a login at a real server.

    Attributes:
        folder: where its files lie.
        port: of the server.
    """

    folder: Path
    port: int

    def login(self, number: int, replace: Callable[[], object]) -> tuple[bool, bool]:
        """Log in, and call ``replace`` before the server's message with this number; returns whether it got so far, and whether it got in."""
        pause = self.folder / f"pause-{number}"
        pause.mkdir()
        words = [sys.executable, str(Path(__file__).with_name("paused.py")), str(self.port), str(number)]
        command = ["ssh", "-F", str(self.folder / "ssh_config"), "-l", sshds.USER, "-o", "BatchMode=yes"]
        command += ["-o", f"ProxyCommand={shlex.join([*words, str(pause)])}", "ssh-developer", "echo in"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as ssh:
            while not (there := (pause / "there").exists()) and ssh.poll() is None:
                time.sleep(0.01)
            if there:
                replace()
            (pause / "on").touch()
            output, _nothing = ssh.communicate(timeout=30)
        return there, output == "in\n"


@pytest.mark.skipif(bool(sshds.why_not()), reason=sshds.why_not())
def test_a_real_login_succeeds_at_whatever_message_the_key_is_replaced(tmp_path: Path) -> None:
    """And would not without the former key beside it: ssh reads a key's public half early and the private one late."""
    site, port = Site(tmp_path / "site", ["ssh-manager"]), free_port()
    site.folder.mkdir()
    site.put()
    client = Client(tmp_path / "client", port)
    admitted: set[str] = set()

    def files() -> dict[str, Any]:
        """Those of the container, as they are to be now."""
        found = site.desired()["ssh-manager"].files
        ring = site.ring()
        admitted.add(ring._public("keys/manager", ring.ssh_private_key("keys/manager")))
        return found

    before = files()
    for step in list(steps(site, "keys/manager"))[:3]:
        step()
    after = files()
    assert len(admitted) == 2

    home, server = tmp_path / "home", tmp_path / "server"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_text("\n".join(admitted) + "\n")
    pinned = sshds.new_key(server / "host_key")

    def fresh() -> None:
        shutil.rmtree(client.folder, ignore_errors=True)
        change(before)
        (client.folder / "known_hosts").write_text(f"ssh-developer {pinned}\n")

    def change(wanted: Any) -> None:
        tree.apply(client.folder / "etc", wanted)
        config = sshds.any_algorithms((client.folder / "etc/ssh/ssh_config").read_text())
        for there, here in (("ssh/known_hosts", "known_hosts"), ("ssh/", "etc/ssh/")):
            config = config.replace(f"/etc/dockfra/{there}", f"{client.folder}/{here}")
        (client.folder / "ssh_config").write_text(config)

    def alone() -> None:
        change(after)
        (client.folder / "etc/ssh/id_ed25519.old").unlink()

    got_in: dict[str, list[bool]] = {"with": [], "without": []}
    with sshds.running(server, sshds.device_config(server, port, home), port):
        for how, replace in (("with", lambda: change(after)), ("without", alone)):
            there, number = True, 0
            while there:
                fresh()
                number += 1
                there, success = client.login(number, replace)
                got_in[how].append(success)
    assert len(got_in["with"]) > 5
    assert all(got_in["with"])
    assert not all(got_in["without"])


# What can be changed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    folder = tmp_path_factory.mktemp("rotation")
    path = folder / "changes.yml"
    path.write_text(yaml.safe_dump({"all": {"vars": {"dockfra_state_dir": str(folder / "state")}}}))
    keyrings._opened.clear()
    return load_platform(path, keep=True)


def test_every_key_and_every_login_of_a_service_can_be_changed(platform: Platform) -> None:
    known = rotation.known(platform)
    assert known == [
        "db/backend",
        "db/developer",
        "db/mobile",
        "db/monitor",
        *(f"host_keys/{name}" for name in SERVERS),
        "keys/autopilot",
        "keys/developer",
        "keys/manager",
        "keys/monitor",
        "keys/operator",
        "keys/ssh-rpi3",
        "keys/vnc-rpi3",
        "redis/backend",
        "redis/developer",
    ]
    hosts = [name for name in known if name.startswith("host_keys/")]
    assert set(rotation.chosen(known, [])) == set(known) - set(hosts)
    assert rotation.chosen(known, ["host_keys"]) == hosts
    assert rotation.chosen(known, ["host_keys/git", "manager"]) == ["host_keys/git", "keys/manager"]
    assert rotation.chosen(known, ["manager", "db/backend", "keys/manager"]) == ["keys/manager", "db/backend"]
    assert rotation.chosen(known, ["passwords"]) == [name for name in known if not keyring.is_ssh_key(name)]
    with pytest.raises(UsageError, match=r"no key or login 'manger'\. Did you mean 'manager'\?"):
        rotation.chosen(known, ["manger"])


def test_a_key_is_proved_at_each_server_that_it_opens(platform: Platform) -> None:
    topology = platform.topology
    monitor = rotation.proof(topology, "keys/monitor")
    assert monitor.container == "dockfra-ssh-monitor"
    assert set(monitor.ways) == {"ssh-monitor", "ssh-frontend", "ssh-backend", "ssh-rpi3"}
    assert {"git", "ssh-manager", "ssh-frontend", "ssh-backend", "ssh-rpi3"} == set(monitor.peers)
    assert rotation.proof(topology, "keys/operator") == rotation.Proof("key", "", "", ways=("rpi3",))
    assert rotation.proof(topology, "keys/ssh-rpi3").peers == ("rpi3",)
    assert rotation.proof(topology, "keys/vnc-rpi3").peers == ("rpi3",)
    assert rotation.proof(topology, "db/backend") == rotation.Proof("login", "dockfra-db", "localhost")
    for name in rotation.known(platform):
        found = rotation.proof(topology, name)
        assert found.container or found.ways, name


def test_a_host_key_is_proved_wherever_it_is_pinned(platform: Platform) -> None:
    found = rotation.proof(platform.topology, "host_keys/ssh-frontend")
    assert (found.container, found.peers, found.ways) == (
        "dockfra-ssh-frontend",
        ("ssh-frontend",),
        ("ssh-frontend",),
    )
    assert rotation.proof(platform.topology, "host_keys/git").ways == ()
    assert rotation.proof(platform.topology, "host_keys/rpi3").ways == ("rpi3",)
    # Before the server uses it nobody sees it.
    early = rotation.proof(platform.topology, "host_keys/ssh-frontend", changes.ADDED)
    assert early.ways == ()
    assert early.callers == found.callers
    for server in SERVERS:
        pinned = {
            (f"dockfra-{service.name}", "localhost")
            for service in platform.topology.containers()
            for path, file in platform.render(service.name).items()
            if path.endswith("known_hosts") and re.search(rf"^{server} ".encode(), file.content, re.MULTILINE)
        }
        assert set(rotation.proof(platform.topology, f"host_keys/{server}").callers) == pinned, server
        assert pinned


def test_a_server_has_to_show_the_one_host_key_that_is_proved(platform: Platform) -> None:
    state = operator_files.directory(platform)
    text = operator_files.render(platform)["ssh_config"]
    made = state / "made.ssh_config"
    made.write_text(rotation.ssh_config(text, state, "host_keys/ssh-monitor", changes.SWITCHED))
    for name, file in (("ssh-monitor", "rotation.known_hosts"), ("ssh-manager", "known_hosts")):
        said = subprocess.run(
            ["ssh", "-G", "-F", str(made), name], capture_output=True, text=True, check=True
        ).stdout
        assert f"userknownhostsfile {state / file}\n" in said


def test_the_person_here_knows_both_host_keys_while_one_is_changed(platform: Platform) -> None:
    state = operator_files.directory(platform)

    def lines() -> list[str]:
        keyrings._opened.clear()
        known = operator_files.render(platform)["known_hosts"].splitlines()
        return [line for line in known if line.startswith(("ssh-backend,", "rpi3 "))]

    before = lines()
    assert len(before) == 2
    for name in ("host_keys/ssh-backend", "host_keys/rpi3"):
        Keyring(state).change(name).add(lambda _text: keyring.new_ssh_key())
    both = lines()
    assert len(both) == 4
    assert set(before) < set(both)
    for name in ("host_keys/ssh-backend", "host_keys/rpi3"):
        assert Keyring(state).change(name).switch()
    assert lines() == both
    for name in ("host_keys/ssh-backend", "host_keys/rpi3"):
        assert Keyring(state).change(name).retire()
    assert set(lines()) == set(both) - set(before)


def test_a_proof_uses_the_key_to_come_and_no_other(platform: Platform) -> None:
    state = operator_files.directory(platform)
    text = operator_files.render(platform)["ssh_config"]
    Keyring(state).ssh_private_key("keys/monitor")
    for stage, end in ((changes.SETTLED, ""), (changes.ADDED, ".next"), (changes.SWITCHED, "")):
        made = rotation.ssh_config(text, state, "keys/monitor", stage)
        assert set(re.findall(r"IdentityFile (.*)", made)) == {f'"{state}/keys/monitor/id_ed25519{end}"'}


def test_a_proof_gets_to_a_server_on_the_way_with_the_key_for_that(platform: Platform) -> None:
    state = operator_files.directory(platform)
    server = (
        'Host dockfra-app-server\n    IdentityFile "/home/alice/.ssh/id_servers"\n    IdentitiesOnly yes\n'
    )
    text = operator_files.render(platform)["ssh_config"] + server
    made = rotation.ssh_config(text, state, "keys/monitor", changes.SWITCHED)
    assert made.endswith(server)
    found = set(re.findall(r"IdentityFile (.*)", made))
    assert found == {f'"{state}/keys/monitor/id_ed25519"', '"/home/alice/.ssh/id_servers"'}


def test_keys_of_real_devices_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "changes.yml"
    variables = {"dockfra_state_dir": str(tmp_path / "state")}
    device = {"dockfra_address": "192.0.2.7", "dockfra_host_key": f"ssh-ed25519 {'A' * 68}"}
    path.write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": {"rpi3": device}}}))
    keyrings._opened.clear()
    topology = load_platform(path).topology
    assert rotation.devices_with(topology, "keys/ssh-rpi3") == ["rpi3"]
    assert rotation.devices_with(topology, "keys/monitor") == []
    assert rotation.devices_with(topology, "db/backend") == []
