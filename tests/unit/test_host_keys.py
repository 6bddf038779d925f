"""A real SSH server gets another host key while people log in: those who have it pinned know both, and the server takes it up without an end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.secrets import keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port

from . import sshds
from .platforms import ROOT, load_platform

pytestmark = pytest.mark.skipif(bool(sshds.why_not()), reason=sshds.why_not())

SCRIPT = (
    ROOT
    / "collections/ansible_collections/dockfra/core/roles/sshd/files/image/rootfs/usr/local/lib/dockfra/host-key"
)
NAME = "host_keys/git"
# What an older version does not know, and what is about the container and not about keys.
ELSEWHERE = "KexAlgorithms|Ciphers|MACs|HostKeyAlgorithms|PubkeyAcceptedAlgorithms|IdentityFile|User|HostName|Port|LogVerbose"


@dataclass
class Git:
    """The server `git` and a client of it, with the files that the platform has for them, on this machine's loopback.

    Attributes:
        folder: the server's files are in ``git/ssh``, the client's in ``client/ssh``.
        port: of the server.
    """

    folder: Path
    port: int

    def platform(self) -> Platform:
        path = self.folder / "changes.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": {"dockfra_state_dir": str(self.folder / "state")}}}))
        keyrings._opened.clear()
        return load_platform(path, only=["git", "ssh-manager"], keep=True)

    def put(self) -> None:
        """Put in place what the platform has now, as the playbook does; nobody is told."""
        platform = self.platform()
        server, client = platform.render("git"), platform.render("ssh-manager")
        for place, files in (("git", server), ("client", client)):
            folder = self.folder / place / "ssh"
            folder.mkdir(parents=True, exist_ok=True)
            for path in ("ssh/ssh_host_ed25519_key", "ssh/known_hosts", "ssh/ssh_config", "ssh/sshd_config"):
                if path in files:
                    text = self._here(files[path].content.decode(), self.folder / place)
                    (folder / path.removeprefix("ssh/")).write_text(text)
                    (folder / path.removeprefix("ssh/")).chmod(0o600)

    def _here(self, text: str, etc: Path) -> str:
        text = re.sub(rf"^ *(?:{ELSEWHERE}) .*\n", "", text, flags=re.MULTILINE)
        address = f"    HostName 127.0.0.1\n    Port {self.port}\n    User {sshds.USER}\n    IdentityFile {self.folder}/key\n"
        text = re.sub(r"^(Host git\n)", rf"\1{address}", text, flags=re.MULTILINE)
        text = re.sub(r"^ListenAddress .*", f"ListenAddress 127.0.0.1:{self.port}", text, flags=re.MULTILINE)
        return text.replace("/etc/dockfra", str(etc))

    def key(self, place: str, *words: str, public: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program that looks after host keys in one of the two containers."""
        script = self.folder / f"{place}.host-key"
        text = SCRIPT.read_text().replace("/etc/dockfra", str(self.folder / place))
        script.write_text(text.replace("/run/", f"{self.folder}/"))
        return subprocess.run(
            ["bash", str(script), *words],
            input=public,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def login(self) -> subprocess.CompletedProcess[str]:
        command = [
            "ssh",
            "-n",
            "-F",
            str(self.folder / "client/ssh/ssh_config"),
            "-o",
            "BatchMode=yes",
            "git",
        ]
        return subprocess.run([*command, "echo in"], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def git(tmp_path: Path) -> Iterator[Git]:
    found = Git(tmp_path, free_port())
    found.put()
    line = sshds.new_key(tmp_path / "key")
    config = sshds.here((tmp_path / "git/ssh/sshd_config").read_text(), tmp_path / "git/ssh", found.port)
    config = config.replace(f"{tmp_path}/git/ssh/host_key", f"{tmp_path}/git/ssh/ssh_host_ed25519_key")
    (tmp_path / "git/ssh/authorized_keys").write_text(f"{line}\n")
    # Newer versions keep host keys in memory; older ones do so when they are told not to start anew for each connection.
    with sshds.running(tmp_path / "server", f"PidFile {tmp_path}/sshd.pid\n{config}", found.port, "-r"):
        yield found


def public(git: Git) -> str:
    """The public half of the key that is proved."""
    return git.platform().keyring().newest_public(NAME)


def test_a_host_key_changes_while_people_log_in(git: Git) -> None:
    first = public(git)
    change = git.platform().keyring().change(NAME)
    assert git.login().stdout == "in\n"
    assert git.key("git", "taken").stdout == ""
    assert git.key("client", "shown", "git", public=first).returncode == 0

    # One to come is pinned beside the one that the server shows.
    change.add(lambda _text: keyring.new_ssh_key())
    second = public(git)
    early = git.key("client", "pinned", "git", public=second)
    assert (early.returncode, early.stderr) == (
        1,
        f"{git.folder}/client/ssh/known_hosts has not the new key of git\n",
    )
    git.put()
    assert git.key("client", "pinned", "git", public=second).returncode == 0
    assert git.key("client", "pinned", "git", public=first).returncode == 0
    assert git.login().stdout == "in\n"
    early = git.key("client", "shown", "git", public=second)
    assert early.returncode == 1
    assert early.stderr.startswith("git does not show the new key: ")

    # The server has it in its configuration, and shows it once it is told; who is logged in stays.
    change.switch()
    git.put()
    assert git.login().stdout == "in\n"
    assert git.key("client", "shown", "git", public=second).returncode == 1
    command = [
        "ssh",
        "-F",
        str(git.folder / "client/ssh/ssh_config"),
        "-o",
        "BatchMode=yes",
        "git",
        "echo begin; read -r line; echo $line",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == "begin\n"
        taken = git.key("git", "taken")
        assert (taken.returncode, taken.stdout) == (0, "taken up\n"), taken.stderr
        assert git.key("git", "taken").stdout == ""
        assert git.key("client", "shown", "git", public=second).returncode == 0
        assert git.key("client", "shown", "git", public=first).returncode == 1
        assert git.login().stdout == "in\n"
        assert session.communicate("still here\n", timeout=20)[0] == "still here\n"

    # Then nobody takes the old one any more.
    change.retire()
    git.put()
    assert git.key("client", "pinned", "git", public=first).returncode == 1
    assert git.key("client", "shown", "git", public=second).returncode == 0
    assert git.login().stdout == "in\n"


def test_a_client_without_the_new_key_refuses_the_server(git: Git) -> None:
    known = (git.folder / "client/ssh/known_hosts").read_text()
    change = git.platform().keyring().change(NAME)
    change.add(lambda _text: keyring.new_ssh_key())
    change.switch()
    git.put()
    assert git.key("git", "taken").stdout == "taken up\n"
    assert git.login().returncode == 0
    (git.folder / "client/ssh/known_hosts").write_text(known)
    refused = git.login()
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_what_cannot_be_done_is_told(git: Git) -> None:
    unknown = git.key("client", "pinned", "nobody", public=public(git))
    assert (unknown.returncode, unknown.stderr) == (1, "no key of nobody is pinned here\n")
    assert git.key("client", "pinned", "git", public="").returncode == 1
    assert git.key("client", "forgotten").returncode == 1
    os.kill(int((git.folder / "sshd.pid").read_text()), signal.SIGTERM)
    deadline = time.monotonic() + 10
    while git.login().returncode != 255 and time.monotonic() < deadline:
        time.sleep(0.1)
    gone = git.key("git", "taken")
    assert (gone.returncode, gone.stderr) == (1, "sshd is not running\n")
    assert not list(git.folder.glob("host-key.*"))
