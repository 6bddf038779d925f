"""playbooks/devices/prepare.yml on a device behind a real bastion: what it makes, that it makes it once, and who gets where."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.devices import artifacts, scripts
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import operator_files
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from tests.unit import sshds
from tests.unit.platforms import ROOT, load_platform

ROLE = ROOT / "roles" / "rpi3_device"
PLAYBOOK = "playbooks/devices/prepare.yml"
RELEASE = "20261125T131500Z-0123456789ab"

needs_sshd = pytest.mark.skipif(bool(sshds.why_not()), reason=sshds.why_not() or "-")


@dataclass
class Way:
    """A platform's bastion and a device behind it.

    Attributes:
        state: the platform's state directory.
        home: the home of the device's user.
        inventory: what is said beside the project's inventory.
        device: the device's port.
        elsewhere: a port of this machine that something else listens on.
    """

    state: Path
    home: Path
    inventory: Path
    device: int
    elsewhere: int

    def play(self, *options: str, **values: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook for the device, with more values in the inventory."""
        known = json.loads(self.inventory.read_text())
        known["all"]["hosts"]["rpi3"].update(values)
        self.inventory.with_name("now.yml").write_text(json.dumps(known))
        given = ("-i", "inventories/local", "-i", str(self.inventory.with_name("now.yml")))
        return subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", PLAYBOOK, *given, "-e", "device=rpi3", *options],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/dockfra-{os.getpid()}",
                "NO_COLOR": "1",
                "COLUMNS": "500",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the operator's client."""
        command = ["ssh", "-F", str(self.state / "ssh_config"), "-o", "BatchMode=yes", *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)

    def tree(self) -> dict[str, tuple[int, str]]:
        """Modes and contents of what is in the device's home."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            name = path.relative_to(self.home).as_posix()
            if not name.startswith((".ansible", ".cache")):
                found[name] = (path.stat().st_mode & 0o777, path.read_text() if path.is_file() else "")
        return found


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks changed something on the device; none may have failed."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^rpi3 .*ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return int(found[1])


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    root = tmp_path_factory.mktemp("way")
    state, home, bastion, device = (root / name for name in ("state", "home", "bastion", "device"))
    home.mkdir()
    ports = [free_port() for _port in range(2)]
    ssh = {"name": "ssh", "port": 2222, "publish": ports[0], "networks": ["ssh-net"]}
    host_key = sshds.new_key(device / "host_key")
    hosts = {
        "ssh-rpi3": {"dockfra_user": sshds.USER, "dockfra_ports": [ssh]},
        "rpi3": {
            "dockfra_address": "127.0.0.1",
            "dockfra_ssh_port": ports[1],
            "dockfra_ssh_user": sshds.USER,
            "dockfra_host_key": host_key,
            # This machine may be any.
            "rpi3_device_free": "1m",
            "rpi3_device_total_memory": "1m",
        },
    }
    own = {"dockfra_state_dir": str(state)}
    inventory = root / "own.yml"
    inventory.write_text(json.dumps({"all": {"vars": own, "hosts": hosts}}))
    platform = load_platform(inventory, keep=True)
    platform.check()
    for name, text in operator_files.render(platform).items():
        (state / name).write_text(text)
    files = {name: file.content.decode() for name, file in platform.render("ssh-rpi3").items()}
    for service in platform.topology.services.values():
        if service.client_key:
            Keyring(state, comment="dockfra").ssh_public_key(f"keys/{service.client_key}")
    bastion.mkdir()
    (bastion / "authorized_keys").write_text(files["ssh/authorized_keys"])
    (bastion / "host_key").write_text(files["ssh/ssh_host_ed25519_key"])
    (bastion / "host_key").chmod(0o600)
    # The device's user has let the operator in, and somebody else of its own.
    (home / ".ssh").mkdir(mode=0o700)
    operator = (state / "keys/operator/id_ed25519.pub").read_text()
    (home / ".ssh/authorized_keys").write_text(f"# mine\nssh-ed25519 {'A' * 68} me@laptop\n{operator}")
    with (
        sshds.running(bastion, sshds.here(files["ssh/sshd_config"], bastion, ports[0]), ports[0]),
        sshds.running(device, sshds.device_config(device, ports[1], home), ports[1]),
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        yield Way(state, home, inventory, ports[1], other.getsockname()[1])


@needs_sshd
def test_the_operator_gets_through_to_the_device_and_to_nothing_else(way: Way) -> None:
    done = way.ssh("rpi3", "pwd; id -un")
    assert (done.returncode, done.stdout.split()[-1]) == (0, sshds.USER), done.stderr
    hop = "dockfra-ssh-rpi3.forward"
    # The same key, at the bastion itself: no shell, no command, no file.
    done = way.ssh(hop, "id")
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("denied: "), done.stderr
    done = way.ssh("-s", hop, "sftp")
    assert (done.returncode, done.stdout) == (77, "")
    for place in (
        f"127.0.0.1:{way.elsewhere}",
        f"localhost:{way.device}",
        f"[::1]:{way.device}",
        "desktop-app:8083",
    ):
        done = way.ssh("-W", place, hop)
        assert done.returncode != 0, place
        assert "administratively prohibited" in done.stderr, (place, done.stderr)
    for options in (["-R", "0:127.0.0.1:1"], ["-w", "any"], ["-R", "/tmp/nobody.sock:127.0.0.1:1"]):
        done = way.ssh("-N", "-o", "ExitOnForwardFailure=yes", *options, hop)
        assert done.returncode == 255, (options, done.stderr)
    # And the monitor's key, which has a login there, opens no way through.
    with_monitor = ("-o", f"IdentityFile={way.state}/keys/monitor/id_ed25519", "-o", "IdentitiesOnly=yes")
    monitor = way.ssh(*with_monitor, "-W", f"127.0.0.1:{way.device}", "ssh-rpi3")
    assert monitor.returncode != 0
    assert "administratively prohibited" in monitor.stderr, monitor.stderr


@needs_sshd
def test_it_prepares_the_device_once(way: Way) -> None:
    before = way.tree()
    looked = way.play("--check", "--diff")
    assert changed(looked) == 5
    assert way.tree() == before
    assert changed(way.play()) == 5
    after = way.tree()
    again = way.play("-vvv", "--diff")
    assert changed(again) == 0
    assert way.tree() == after
    assert {name: mode for name, (mode, _text) in after.items()} == {
        ".dockfra": 0o700,
        ".dockfra/ca.crt": 0o644,
        ".dockfra/health-answer": 0o755,
        ".dockfra/healthy": 0o755,
        ".dockfra/name": 0o644,
        ".dockfra/report": 0o755,
        ".dockfra/token": 0o600,
        ".dockfra/url": 0o644,
        ".ssh": 0o700,
        ".ssh/authorized_keys": 0o600,
        "releases": 0o755,
    }
    # The platform's own token is worth more than the device's, and stays where it is.
    secret = (way.state / "secrets/backend/api_token").read_text().strip()
    assert not [name for name, (_mode, text) in after.items() if secret in text]
    token = after[".dockfra/token"][1].strip()
    assert re.fullmatch("[0-9a-f]{64}", token)
    for done in (looked, again):
        assert token not in done.stdout + done.stderr
    assert after[".dockfra/ca.crt"][1].strip() == (way.state / "tls/ca.crt").read_text().strip()


@needs_sshd
def test_each_key_opens_what_it_is_for_and_the_monitors_nothing(way: Way) -> None:
    keys = way.home / ".ssh/authorized_keys"
    monitor = (way.state / "keys/monitor/id_ed25519.pub").read_text()
    bastion = (way.state / "keys/ssh-rpi3/id_ed25519.pub").read_text()
    mine = ["# mine", f"ssh-ed25519 {'A' * 68} me@laptop"]
    # Somebody has let them in by hand, and far too far.
    keys.write_text("\n".join([*mine, monitor.strip(), bastion.strip(), ""]))
    with keys.open("a") as file:
        file.write((way.state / "keys/operator/id_ed25519.pub").read_text())
    assert changed(way.play("--tags", "keys")) == 2
    lines = keys.read_text().splitlines()
    assert lines[:2] == mine
    assert monitor.split()[1] not in keys.read_text()
    by_key = {line.split()[-1].removeprefix("dockfra-"): line for line in lines[2:]}
    assert set(by_key) == {"ssh-rpi3", "operator", "vnc-rpi3"}
    assert by_key["ssh-rpi3"].startswith("restrict,pty ssh-ed25519 ")
    assert by_key["operator"].startswith("restrict,pty ssh-ed25519 ")
    assert by_key["vnc-rpi3"].startswith('restrict,port-forwarding,permitopen="localhost:5900",command="')
    # Of the bastion's key: a shell there, and no way on.
    own = ("-o", f"IdentityFile={way.state}/keys/ssh-rpi3/id_ed25519", "-F", "none", "-o", "BatchMode=yes")
    known = ("-o", f"UserKnownHostsFile={way.state}/known_hosts", "-o", "HostKeyAlias=rpi3")
    direct = ["ssh", *own, *known, "-p", str(way.device), f"{sshds.USER}@127.0.0.1"]
    done = subprocess.run([*direct, "echo in"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    onward = [*direct[:-1], "-W", f"127.0.0.1:{way.elsewhere}", direct[-1]]
    done = subprocess.run(onward, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert "administratively prohibited" in done.stderr
    assert changed(way.play("--tags", "keys")) == 0


@needs_sshd
def test_what_is_missing_is_told_all_at_once_and_nothing_is_touched(way: Way) -> None:
    tools = way.home / "tools"
    tools.mkdir()
    try:
        before = way.tree()
        done = way.play(rpi3_device_free="900000g", rpi3_device_total_memory="900000g")
        assert done.returncode != 0
        assert "rpi3 cannot get releases yet: " in done.stdout
        assert "make room on its card; it has " in done.stdout
        assert way.tree() == before
    finally:
        tools.rmdir()


@needs_sshd
def test_only_a_device_is_prepared(way: Way) -> None:
    done = way.play("-e", "device=backend")
    assert done.returncode != 0
    assert "backend has no device; those with dockfra_device are rpi3." in done.stdout


# What it looks at, and what it brings ---------------------------------------------------------------------------------


def survey(folder: Path, **programs: str) -> dict[str, str]:
    """What a device says of itself, some of whose programs say something else."""
    tools, home = folder / "tools", folder / "home"
    tools.mkdir()
    home.mkdir()
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", (ROLE / "files/survey").read_text()],
        env={"HOME": str(home), "PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_the_survey_says_what_the_device_is(tmp_path: Path) -> None:
    found = survey(tmp_path, uname="echo armv7l", getconf="echo 32", sudo="exit 1")
    assert (found["machine"], found["bits"], found["missing"]) == ("armv7l", "32", "")
    assert re.fullmatch(r"(3\.\d+)?", found["python"])
    assert found["home"] == str(tmp_path / "home")
    assert int(found["free"]) > 0
    assert int(found["memory"]) > 0
    assert found["sudo"] == ("yes" if os.geteuid() == 0 else "no")
    assert found["end"] == "yes"


GOOD = {
    "missing": "",
    "user": "pi",
    "uid": "1000",
    "home": "/home/pi",
    "machine": "aarch64",
    "bits": "64",
    "system": "debian 12",
    "called": "Debian GNU/Linux 12 (bookworm)",
    "python": "3.11",
    "free": "9000000",
    "memory": "900000",
    "systemd": "yes",
    "sudo": "yes",
    "end": "yes",
}
# What a device answers otherwise, and how each thing begins that is said of it.
DEVICES: list[tuple[dict[str, str], list[str]]] = [
    ({}, []),
    ({"system": "debian ", "called": "Debian GNU/Linux trixie/sid"}, []),
    ({"system": "ubuntu 24.04", "machine": "x86_64"}, []),
    (
        {
            "machine": "armv7l",
            "bits": "32",
            "system": "raspbian 11",
            "called": "Raspbian 11",
            "python": "3.7",
            "missing": "dd sha256sum",
            "free": "102400",
            "memory": "102400",
        },
        [
            "its programs are for armv7l with 32 bits",
            "it runs Raspbian 11: install Debian 12",
            "it has Python 3.7, and Ansible needs 3.9",
            "it has no dd, sha256sum",
            "100 MiB are free in /home/pi, and 128 are needed",
            "it has 100 MiB of memory, and 256 are needed",
        ],
    ),
    ({"bits": "32"}, ["its programs are for aarch64 with 32 bits"]),
    (
        {"system": "alpine 3.20", "called": "Alpine", "python": ""},
        ["it runs Alpine", "it has no /usr/bin/python3"],
    ),
]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What the role says of each of these devices."""
    folder = tmp_path_factory.mktemp("problems")
    surveys = [[f"{key} {value}" for key, value in {**GOOD, **found}.items()] for found, _parts in DEVICES]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROLE / "vars/main.yml")],
        "vars": {"rpi3_device_free": "128m", "rpi3_device_total_memory": "256m", "surveys": surveys},
        "tasks": [
            {
                "ansible.builtin.debug": {"msg": "{{ rpi3_device_problems }}"},
                "loop": "{{ surveys }}",
                "vars": {"rpi3_device_survey": {"stdout_lines": "{{ item }}"}},
            }
        ],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    (folder / "ansible.cfg").write_text("[defaults]\nstdout_callback = ansible.posix.json\n")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [task] = json.loads(done.stdout)["plays"][0]["tasks"]
    return [result["msg"] for result in task["hosts"]["localhost"]["results"]]


@pytest.mark.parametrize("number", range(len(DEVICES)))
def test_each_thing_that_is_missing_is_named(problems: list[list[str]], number: int) -> None:
    told, parts = problems[number], DEVICES[number][1]
    assert len(told) == len(parts), told
    for part, text in zip(parts, told, strict=True):
        assert text.startswith(part)


def test_it_looks_for_what_the_bastion_uses_and_for_what_is_built() -> None:
    text = (ROLE / "files/survey").read_text()
    looked = re.search(r"for tool in (.*); do", text)
    assert looked
    assert looked[1] == scripts.TOOLS
    assert set(yaml.safe_load((ROLE / "vars/main.yml").read_text())["rpi3_device_machines"]) == set(
        artifacts.ARCHITECTURES
    )


class Device:
    """A home with the role's programs, and a release or none."""

    def __init__(self, home: Path) -> None:
        self.own = home / ".dockfra"
        self.own.mkdir(parents=True)
        self.program = home / "releases" / RELEASE / "program"
        for name in ("healthy", "report", "health-answer", "restart"):
            shutil.copy(ROLE / "files" / name, self.own / name)
            (self.own / name).chmod(0o755)
        for name in ("url", "name", "token", "ca.crt"):
            (self.own / name).write_text(f"the-{name}\n")

    def use(self, script: str) -> None:
        """Let a program be that of the release in use."""
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)
        link = self.program.parents[1] / "current"
        if not link.is_symlink():
            link.symlink_to(RELEASE)

    def run(self, name: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self.own / name)]
        return subprocess.run(command, input=text, cwd="/", capture_output=True, text=True, timeout=30)


def test_a_device_is_well_while_the_release_in_use_runs_there(tmp_path: Path) -> None:
    device = Device(tmp_path)
    request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for script, status, words in (
        ("", 0, "well, with release none"),
        ('[ "$1" = --version ]', 0, f"well, with release {RELEASE}"),
        ("exit 3", 1, f"the program of {RELEASE} does not run here"),
    ):
        if script:
            device.use(script)
        done = device.run("healthy")
        assert (done.returncode, done.stdout.strip()) == (status, words)
        answer = device.run("health-answer", request).stdout
        head, body = answer.split("\n\n", 1) if "\n\n" in answer else answer.split("\r\n\r\n", 1)
        assert head.split("\n")[0].strip() == (
            "HTTP/1.0 503 Service Unavailable" if status else "HTTP/1.0 200 OK"
        )
        assert body == f"{words}\n"
        assert f"Content-Length: {len(body)}" in head


def test_it_reports_and_says_only_what_is_new(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.use('echo "$@" >>../calls.txt; echo "cannot be reached" >&2; exit 1')
    process = subprocess.Popen([str(device.own / "report"), "0.1"], start_new_session=True)
    try:
        calls = tmp_path / "calls.txt"
        while not calls.exists() or len(calls.read_text().splitlines()) < 4:
            assert process.poll() is None
    finally:
        os.killpg(process.pid, 15)
        process.wait()
    assert calls.read_text().splitlines()[0] == (
        "--url the-url --ca-file ca.crt --report the-name --token-file token"
    )
    assert [
        line.split(" ", 1)[1].strip() for line in (device.own / "report.log").read_text().splitlines()
    ] == ["cannot be reached"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    values = {"name": "rpi3", "memory": "128M", "tasks": "32", "health_port": "8079"}
    for path in (ROLE / "templates").glob("*.j2"):
        text = re.sub(r"\{\{ rpi3_device_(\w+) \}\}", lambda match: values[match[1]], path.read_text())
        assert "{{" not in text
        (tmp_path / path.stem).write_text(text.replace("%h/.dockfra/", f"{tmp_path}/"))
    for name in ("report", "health-answer"):
        shutil.copy(ROLE / "files" / name, tmp_path / name)
        (tmp_path / name).chmod(0o755)
    names = ["dockfra-report.service", "dockfra-health.socket"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *(str(tmp_path / name) for name in names)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "dockfra-" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
