# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which secrets of a platform can be changed while it runs, and by which logins each is proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...module_utils.errors import UsageError
from ...module_utils.secrets import changes
from ...module_utils.topology import forwards
from ...module_utils.topology.model import OPERATOR
from ...module_utils.topology.problem import nearest
from ...module_utils.topology.topology import Topology
from . import keyrings, operator_files
from .desired import Platform

KEYS, PASSWORDS, HOST_KEYS = "keys", "passwords", "host_keys"
_PREFIX = f"{KEYS}/"
_HOST_PREFIX = f"{HOST_KEYS}/"

# In the state directory, for a proof: the operator's SSH configuration, and the one host key that it takes.
SSH_CONFIG, KNOWN_HOSTS = "rotation.ssh_config", "rotation.known_hosts"


@dataclass(frozen=True)
class Proof:
    """What shows that a secret opens what it is for.

    Attributes:
        kind: ``key``, ``login`` or ``host_key``.
        container: where the login is tried: that of the key's owner, or of the service that is logged in to; empty for a key
            that lives at the controller only. Of a host key that of the server.
        docker_host: where the container runs.
        peers: the SSH servers that are tried from there.
        ways: the SSH servers that are tried from the controller.
        callers: containers whose client has the host key pinned, each with the Docker host on which it runs.
    """

    kind: str
    container: str
    docker_host: str
    peers: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    callers: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for a task result: lists, which templates can join."""
        callers = [
            {"container": container, "docker_host": docker_host} for container, docker_host in self.callers
        ]
        return {**asdict(self), "peers": list(self.peers), "ways": list(self.ways), "callers": callers}


def known(platform: Platform) -> list[str]:
    """Return what can be changed: each SSH key of a client or a server, and each login of one service at another, as the templates ask for them."""
    for service in platform.topology.containers():
        platform.render(service.name)
    operator_files.render(platform)
    return keyrings.in_use()


def chosen(known: Sequence[str], words: Iterable[str]) -> list[str]:
    """Return the secrets that words choose; without any all of them but host keys, which people elsewhere have pinned.

    Args:
        known: see the function of that name.
        words: ``keys``, ``passwords``, ``host_keys``, the owner of a key (``manager``), a login (``db/backend``), or one host key
            (``host_keys/git``).

    Raises:
        UsageError: a word chooses nothing.
    """
    names = {name.removeprefix(_PREFIX): name for name in known}
    groups = {
        KEYS: [name for name in known if name.startswith(_PREFIX)],
        PASSWORDS: [name for name in known if not name.startswith((_PREFIX, _HOST_PREFIX))],
        HOST_KEYS: [name for name in known if name.startswith(_HOST_PREFIX)],
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
    return list(dict.fromkeys(found)) or groups[KEYS] + groups[PASSWORDS]


def devices_with(topology: Topology, name: str) -> list[str]:
    """Return the real devices that a key opens: what they admit is written there by playbooks/devices/prepare.yml alone."""
    owner = name.removeprefix(_PREFIX)
    return [
        service.name
        for service in topology.services.values()
        if name.startswith(_PREFIX) and service.external_address and topology.admits(service.name, owner)
    ]


def proof(topology: Topology, name: str, stage: str = changes.SWITCHED) -> Proof:
    """Return how a secret is proved when the change is that far."""
    if name.startswith(_HOST_PREFIX):
        found = _host_key_proof(topology, name.removeprefix(_HOST_PREFIX))
        # Of two keys of one kind a server shows one, so nobody sees the one to come: it has to be pinned, no more.
        return found if stage == changes.SWITCHED else replace(found, ways=())
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
    peers += [link.tunnel for link in topology.links(owner.name)]
    return Proof("key", topology.container_name(owner.name), owner.docker_host, tuple(peers), tuple(ways))


def _host_key_proof(topology: Topology, server: str) -> Proof:
    service = topology.services[server]
    callers = [
        caller
        for caller in topology.containers()
        if service in topology.ssh_peers(caller.name)
        or server in [link.tunnel for link in topology.links(caller.name)]
    ]
    # The person logs in with a key of those who may; without one nobody has a way.
    published = bool(service.logins) and any(port.publish for port in service.ssh_ports)
    reached = published or server in [way.name for way in forwards.operator_ways(topology)]
    return Proof(
        "host_key",
        topology.container_name(server),
        service.docker_host,
        (server,),
        (server,) if reached else (),
        tuple((topology.container_name(caller.name), caller.docker_host) for caller in callers),
    )


def ssh_config(text: str, state_dir: Path, name: str, stage: str) -> str:
    """Return the operator's SSH configuration for a proof.

    Of the platform's keys it has that one and no other, of a host key it takes that one and no other from the server. Keys for what is
    on the way, such as a server, stay: they are somebody else's.

    Args:
        text: the configuration as it is.
        state_dir: the platform's state directory.
        name: ``keys/<owner>`` or ``host_keys/<service>``.
        stage: how far the change is, which says whether that is the one to come or the one that is used.
    """
    if name.startswith(_HOST_PREFIX):
        # Of several values ssh takes the first.
        return f'Host {name.removeprefix(_HOST_PREFIX)}\n    UserKnownHostsFile "{state_dir / KNOWN_HOSTS}"\n\n{text}'
    used = state_dir / name / "id_ed25519"
    newest = used.with_name(f"{used.name}{changes.NEXT}") if stage == changes.ADDED else used
    lines = []
    for line in text.splitlines():
        if line.strip() == f'IdentityFile "{used}"':
            lines.append(line.replace(f'"{used}"', f'"{newest}"'))
        elif not line.strip().startswith(f'IdentityFile "{state_dir / "keys"}/'):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)
