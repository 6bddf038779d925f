"""Two bare servers for the scenario ``production``: Debian with an SSH server, Python and sudo, and nothing else.

Each is a container that may run an engine of its own (Docker-in-Docker), and is reached as a real server is: by the address of its own, as a
user with sudo, with a key of its own and a pinned host key. Nothing of them is published on this machine.

usage: run.py create|destroy   (how they are reached is in .dockfra/molecule-servers: servers.json, the key and known_hosts; the vault's password too)
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.types
from docker.utils import kwargs_from_env

from tests.fresh import run as fresh

NAMES = ("management-server", "app-server")
FOLDER = fresh.ROOT / ".dockfra/molecule-servers"
# Of the platform on them, as in the scenario's inventory.
STATE = fresh.ROOT / ".dockfra/molecule-production"
USER = "admin"
LABEL = "dockfra.servers"
NETWORK = f"dockfra-servers-{hashlib.sha256(str(fresh.ROOT).encode()).hexdigest()[:8]}"
FIRST_HOST = 10
SUITE = "trixie"
PACKAGES = ["ca-certificates", "openssh-server", "python3", "sudo"]
START_SECONDS = 60

# What a real server does at each start: let people in, keep out who is to stay out, and run the engine.
BOOT = """\
#!/bin/sh
mkdir -p /run/sshd
# Not before it has a host key of its own.
[ ! -f /etc/sudoers.d/admin ] || /usr/sbin/sshd
[ ! -f /etc/dockfra/firewall.nft ] || nft -f /etc/dockfra/firewall.nft
rm -f /run/docker.pid /run/docker/containerd/containerd.pid
[ ! -x /usr/sbin/dockerd ] || setsid --fork dockerd >>/var/log/dockerd.log 2>&1 </dev/null
exec sleep infinity
"""

# The machine as its owner gets it: host keys of its own, one user, no passwords.
SETUP = f"""
set -eu
update-ca-certificates >/dev/null 2>&1
# Debian's own configuration reads what is restricted further.
grep -q '^Include /etc/ssh/sshd_config.d/' /etc/ssh/sshd_config
useradd --create-home --shell /bin/bash --password '*' {USER}
install --directory --owner {USER} --mode 0700 /home/{USER}/.ssh
install --owner {USER} --mode 0600 /root/authorized_keys /home/{USER}/.ssh/authorized_keys
rm /root/authorized_keys
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
mkdir -p /run/sshd
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A >/dev/null
"""


def image() -> str:
    """The machine's image, which is bootstrapped where it is missing."""
    recipe = hashlib.sha256(json.dumps([SUITE, PACKAGES]).encode()).hexdigest()[:16]
    name = f"dockfra-servers/{SUITE}:{recipe}"
    variables = {"fresh_images": {SUITE: name}, "fresh_packages": PACKAGES}
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "tests/fresh/machines.yml"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "-e", json.dumps(variables)]
    if not fresh.is_root():
        command += ["--become"]
    if subprocess.run(command, cwd=fresh.ROOT, stdin=subprocess.DEVNULL).returncode:
        sys.exit("servers: error: the servers' image could not be made; the reason stands above")
    return name


def output(client: docker.APIClient, container: str, *command: str) -> str:
    """What a command in a server prints; ends this program where it fails."""
    identifier = client.exec_create(container, list(command))["Id"]
    said = client.exec_start(identifier).decode(errors="replace")
    if client.exec_inspect(identifier)["ExitCode"]:
        sys.exit(f"servers: error: {command[0]} fails in {container[:12]}: {said.strip()}")
    return said


def start(client: docker.APIClient, name: str, made_of: str, public: str) -> dict[str, str]:
    """Start a server; returns its address and its host key."""
    host = client.create_host_config(**fresh.RIGHTS)
    host["MaskedPaths"] = host["ReadonlyPaths"] = []  # systempaths=unconfined of Docker's client
    # It keeps its address over a restart.
    own = str(network()[FIRST_HOST + NAMES.index(name)])
    container = client.create_container(
        made_of,
        ["sh", "/root/boot"],
        hostname=name,
        labels={LABEL: str(fresh.ROOT)},
        environment=fresh.environment(),
        volumes=["/var/lib/docker"],
        host_config=host,
        networking_config=client.create_networking_config(
            {NETWORK: client.create_endpoint_config(ipv4_address=own)}
        ),
    )["Id"]
    files = {str(path): path.read_bytes() for path in fresh.configuration()}
    files["/root/boot"] = BOOT.encode()
    files["/root/authorized_keys"] = f"{public}\n".encode()
    if sources := fresh.apt_sources(SUITE):
        files["/etc/apt/sources.list"] = sources.encode()
    client.put_archive(container, "/", fresh.pack(files, {}))
    client.start(container)
    output(client, container, "bash", "-c", SETUP)
    output(client, container, "/usr/sbin/sshd")
    key = output(client, container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    return {"address": own, "host_key": " ".join(key.split()[:2])}


def create() -> None:
    """Start the servers and write down how they are reached."""
    made_of = image()  # where there is no engine yet, it brings one
    client = docker.APIClient(version="auto", timeout=600, **kwargs_from_env())
    destroy()
    FOLDER.mkdir(mode=0o700, parents=True)
    key = FOLDER / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", USER, "-f", str(key)], check=True)
    make_network(client)
    public = key.with_suffix(".pub").read_text().strip()
    servers = {name: start(client, name, made_of, public) for name in NAMES}
    known = FOLDER / "known_hosts"
    known.write_text("".join(f"{server['address']} {server['host_key']}\n" for server in servers.values()))
    (FOLDER / "servers.json").write_text(json.dumps(servers))
    for name, server in servers.items():
        wait(name, server["address"], key, known)


def wait(name: str, address: str, key: Path, known: Path) -> None:
    """Wait until a server lets its user in."""
    ssh = ["ssh", "-F", "none", "-i", str(key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    ssh += [
        "-o",
        f"UserKnownHostsFile={known}",
        "-o",
        "ConnectTimeout=5",
        f"{USER}@{address}",
        "sudo",
        "-n",
        "true",
    ]
    deadline = time.monotonic() + START_SECONDS
    while (done := subprocess.run(ssh, capture_output=True, text=True)).returncode:
        if time.monotonic() > deadline:
            sys.exit(f"servers: error: {name} lets nobody in: {done.stderr.strip()}")
        time.sleep(1)


def find(name: str) -> dict[str, Any]:
    """What Docker has of a server; raises LookupError where it is not there."""
    client = docker.APIClient(version="auto", timeout=60, **kwargs_from_env())
    for entry in client.containers(all=True, filters={"label": f"{LABEL}={fresh.ROOT}"}):
        details: dict[str, Any] = client.inspect_container(entry["Id"])
        if details["Config"]["Hostname"] == name:
            return details
    raise LookupError(f"there is no server {name}; make it: molecule create -s production")


def pid(name: str) -> int:
    """The first process of a server, as this machine counts."""
    return int(find(name)["State"]["Pid"])


def address(name: str) -> str:
    """The IPv4 address of a server."""
    return str(network()[FIRST_HOST + NAMES.index(name)])


def gateway() -> str:
    """The address of this machine for the servers."""
    return str(network()[1])


def network() -> ipaddress.IPv4Network:
    """The servers' network, another one for each clone of the project."""
    digest = hashlib.sha256(str(fresh.ROOT).encode()).digest()
    return ipaddress.IPv4Network(f"10.234.{digest[0]}.0/24")


def make_network(client: docker.APIClient) -> None:
    pool = docker.types.IPAMPool(subnet=str(network()), gateway=gateway())
    client.create_network(
        NETWORK,
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        labels={LABEL: str(fresh.ROOT)},
    )


def inside(name: str, *command: str) -> str:
    """What a command in a server prints, as root; ends this program where it fails."""
    client = docker.APIClient(version="auto", timeout=60, **kwargs_from_env())
    return output(client, find(name)["Id"], *command)


def destroy() -> None:
    """Remove the servers with all that is in them, how they were reached, and the platform's keys."""
    client = docker.APIClient(version="auto", timeout=120, **kwargs_from_env())
    of_them = {"label": f"{LABEL}={fresh.ROOT}"}
    for entry in client.containers(all=True, filters=of_them):
        client.remove_container(entry["Id"], force=True, v=True)
    for entry in client.networks(filters=of_them):
        client.remove_network(entry["Id"])
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.rmtree(STATE, ignore_errors=True)


def main(words: Sequence[str]) -> int:
    actions = {"create": create, "destroy": destroy}
    if len(words) != 1 or words[0] not in actions:
        print("usage: run.py create|destroy", file=sys.stderr)
        return 2
    os.umask(0o077)
    actions[words[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
