# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which secrets of a platform can be changed while it runs, and by which logins each is proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...module_utils.errors import UsageError
from ...module_utils.secrets.changes import NEXT
from ...module_utils.topology import forwards
from ...module_utils.topology.model import OPERATOR
from ...module_utils.topology.problem import nearest
from ...module_utils.topology.topology import Topology
from . import keyrings, operator_files
from .desired import Platform

KEYS, PASSWORDS = "keys", "passwords"
_PREFIX = f"{KEYS}/"


@dataclass(frozen=True)
class Proof:
    """What shows that a secret opens what it is for.

    Attributes:
        kind: ``key`` or ``login``.
        container: where the login is tried: that of the key's owner, or of the service that is logged in to; empty for a key
            that lives at the controller only.
        docker_host: where the container runs.
        peers: the SSH servers that are tried from there.
        ways: the SSH servers that are tried from the controller.
    """

    kind: str
    container: str
    docker_host: str
    peers: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for a task result: lists, which templates can join."""
        return {**asdict(self), "peers": list(self.peers), "ways": list(self.ways)}


def known(platform: Platform) -> list[str]:
    """Return what can be changed: each SSH key, and each login of one service at another, as the templates ask for them."""
    for service in platform.topology.containers():
        platform.render(service.name)
    operator_files.render(platform)
    return keyrings.in_use()


def chosen(known: Sequence[str], words: Iterable[str]) -> list[str]:
    """Return the secrets that words choose, all of them without any.

    Args:
        known: see the function of that name.
        words: ``keys``, ``passwords``, the owner of a key (``manager``), or a login (``db/backend``).

    Raises:
        UsageError: a word chooses nothing.
    """
    names = {name.removeprefix(_PREFIX): name for name in known}
    groups = {
        KEYS: [name for name in known if name.startswith(_PREFIX)],
        PASSWORDS: [name for name in known if not name.startswith(_PREFIX)],
    }
    found: list[str] = []
    for word in words:
        if word in groups:
            found += groups[word]
        elif word in names or word in known:
            found.append(names.get(word, word))
        else:
            raise UsageError(
                f"dockfra_rotate: there is no key or login '{word}'.{nearest(word, [*groups, *names])} "
                f"There are {', '.join([*groups, *names])}."
            )
    return list(dict.fromkeys(found)) or list(known)


def devices_with(topology: Topology, name: str) -> list[str]:
    """Return the real devices that a key opens: what they admit is written there by playbooks/devices/prepare.yml alone."""
    owner = name.removeprefix(_PREFIX)
    return [
        service.name
        for service in topology.services.values()
        if name.startswith(_PREFIX) and service.external_address and topology.admits(service.name, owner)
    ]


def proof(topology: Topology, name: str) -> Proof:
    """Return how a secret is proved."""
    if not name.startswith(_PREFIX):
        service = topology.services[name.partition("/")[0]]
        return Proof("login", topology.container_name(service.name), service.docker_host)
    key = name.removeprefix(_PREFIX)
    ways = [
        service.name
        for service in topology.containers()
        if key in service.logins and any(port.publish for port in service.ssh_ports)
    ]
    if key == OPERATOR:
        ways += [way.name for way in forwards.operator_ways(topology) if way.name not in ways]
    owner = next((service for service in topology.containers() if service.client_key == key), None)
    if owner is None:
        return Proof("key", "", "", ways=tuple(ways))
    peers = [peer.name for peer in topology.ssh_peers(owner.name) if topology.admits(peer.name, key)]
    return Proof("key", topology.container_name(owner.name), owner.docker_host, tuple(peers), tuple(ways))


def ssh_config(text: str, state_dir: Path, name: str) -> str:
    """Return the operator's SSH configuration with one key and no other: the one that is used from the next step on.

    Args:
        text: the configuration as it is.
        state_dir: the platform's state directory.
        name: ``keys/<owner>``.
    """
    used = state_dir / name / "id_ed25519"
    coming = used.with_name(f"{used.name}{NEXT}")
    newest = coming if coming.exists() else used
    lines = []
    for line in text.splitlines():
        if line.strip().startswith("IdentityFile "):
            if f'"{used}"' in line:
                lines.append(line.replace(f'"{used}"', f'"{newest}"'))
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)
