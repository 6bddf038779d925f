"""A platform that is nothing but its files: what its containers and servers would say, by what lies in their configuration.

Each call also looks whether anybody is locked out at that moment, and writes it to the file ``locked_out``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from cryptography.hazmat.primitives import serialization

ROOT = Path(os.environ["STAGED"])
SERVICES = ROOT / "data/dockfra/services"
ACCOUNT = ROOT / "data/dockfra/link/.ssh/authorized_keys"
# Of each server the host key that it has read at its last start.
RUNNING = ROOT / "running"
LOCKED_OUT = ROOT / "locked_out"


def public(private: str) -> str:
    """The public half of an SSH key."""
    key = serialization.load_ssh_private_key(f"{private.strip()}\n".encode(), password=None).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def read(service: str, path: str) -> str:
    """A file of a service; empty where there is none."""
    place = SERVICES / service / path
    return place.read_text() if place.exists() else ""


def admits(server: str, key: str) -> bool:
    """Whether a server lets a public key in; the other end of a link is reached through the account of its Docker host."""
    lines = [line for line in read(server, "ssh/authorized_keys").splitlines() if key in line]
    return bool(lines) and ("permitlisten=" not in lines[0] or key in ACCOUNT.read_text())


def takes(service: str, server: str, key: str) -> bool:
    """Whether all clients of a service that know a server have a host key pinned."""
    files = [read(service, f"{client}/known_hosts") for client in ("ssh", "link")]
    found = [text.splitlines() for text in files if re.search(rf"^{server} ", text, re.MULTILINE)]
    return bool(found) and all(f"{server} {key}" in lines for lines in found)


def start(server: str) -> None:
    """A server reads its host key."""
    RUNNING.mkdir(exist_ok=True)
    (RUNNING / server).write_text(public(read(server, "ssh/ssh_host_ed25519_key")))


def shows(server: str) -> str:
    """The host key that a server has in use."""
    return (RUNNING / server).read_text()


def call(container: str, argv: list[str], text: str) -> tuple[int, str]:
    """What a program in a container answers: its exit code, and a line."""
    watch()
    service = container.removeprefix("dockfra-")
    program, words = argv[0].rpartition("/")[2], argv[1:]
    if program == "prove-key":
        refused = [
            peer for peer in words if not (admits(peer, public(text)) and takes(service, peer, shows(peer)))
        ]
        return bool(refused), f"{refused} do not admit the key" if refused or not words else ""
    if program == "login-proved":
        user, password = text.split("\n")[:2]
        return (0, "") if _logs_in(service, user, password) else (1, f"{user} is not admitted")
    if program == "login-held":
        return 0, "0"
    if program == "host-key" and words == ["taken"]:
        if shows(service) == public(read(service, "ssh/ssh_host_ed25519_key")):
            return 0, ""
        start(service)
        watch()
        return 0, "taken up"
    if program == "host-key":
        word, server = words
        right = takes(service, server, text.strip()) and (word == "pinned" or shows(server) == text.strip())
        return (0, "") if right else (1, f"{server}: not {word}")
    return 127, f"there is no {program}"


def watch() -> None:
    """Write down who is locked out: of the keys in containers, the servers that these open, and the logins of the backend."""
    found = []
    for service, servers in json.loads((ROOT / "edges.json").read_text()).items():
        key = public(read(service, "ssh/id_ed25519"))
        for server in servers:
            if not admits(server, key):
                found.append(f"{service} is refused by {server}")
            if not takes(service, server, shows(server)):
                found.append(f"{service} refuses {server}")
    backend = json.loads(read("backend", "backend.json"))
    for server, section in (("db", "database"), ("redis", "cache")):
        if not _logs_in(server, backend[section]["user"], backend[section]["password"]):
            found.append(f"backend is refused by {server}")
    if found:
        with LOCKED_OUT.open("a") as file:
            file.write("".join(f"{line}\n" for line in found))


def _logs_in(server: str, user: str, password: str) -> bool:
    if server == "db":
        return f"ALTER ROLE {user} LOGIN PASSWORD '{password}';" in read("db", "postgresql/logins.sql")
    hidden = hashlib.sha256(password.encode()).hexdigest()
    return (
        re.search(rf"^user {user} on .*#{hidden} ", read("redis", "redis/users.acl"), re.MULTILINE)
        is not None
    )
