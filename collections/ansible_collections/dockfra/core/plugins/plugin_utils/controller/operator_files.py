# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Files for the person at the controller: SSH configuration, known hosts and the access map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...module_utils.files.tree import WantedFile, remove_file, write_file
from ...module_utils.secrets.changes import OLD
from ...module_utils.secrets.stores import PUBLIC_HALF
from ...module_utils.topology import forwards
from ...module_utils.topology.link import Server
from ...module_utils.topology.model import OPERATOR, Service
from ...module_utils.topology.topology import Topology, short_names
from .desired import Platform

ACCESS_MAP = "access.txt"
_KEYS = "keys/"


def render(platform: Platform) -> dict[str, str]:
    """Return the files' texts by name; one without a text is not to be there."""
    topology = platform.topology
    keyring = platform.keyring()
    short = short_names(topology.services.values())
    services = [
        {**describe(topology, service), "short_name": short.get(service.name, "")}
        for service in topology.services.values()
        if not service.is_tunnel  # nobody logs in there
    ]
    ways = [
        {**asdict(way), "short_name": short.get(way.name, "")}
        for way in forwards.operator_ways(topology)
        if not _published_ssh(topology.services[way.name])
    ]
    files = platform.render_operator_files(
        {
            "dockfra_services": services,
            "dockfra_servers": [asdict(server) for server in topology.servers.values() if server.address],
            "dockfra_operator_key": OPERATOR,
            # In the middle of a login with a key whose file is replaced, ssh takes the former one.
            "dockfra_changing_keys": [
                key
                for key in dict.fromkeys(
                    (OPERATOR, *(login for service in services for login in service["logins"]))
                )
                if keyring.changing(f"{_KEYS}{key}")
            ],
            "dockfra_operator_ways": ways,
        }
    )
    return {**files, **_keys(platform, [*topology.services.values()], bool(ways))}


def _keys(platform: Platform, services: Sequence[Service], ways: bool) -> dict[str, str]:
    """The keys with which the person logs in: plain ssh needs them as files, also where the keyring keeps them elsewhere."""
    if not platform.settings["dockfra_vault_file"]:
        return {}
    keyring = platform.keyring()
    names = {name for service in services if _published_ssh(service) for name in service.logins}
    names |= {OPERATOR} if ways else set()
    files = {}
    for name in sorted(names):
        path = f"{_KEYS}{name}/id_ed25519"
        files[f"{path}{OLD}"] = keyring.former(f"{_KEYS}{name}")
        files[path] = keyring.ssh_private_key(f"{_KEYS}{name}")
        files[f"{path}{PUBLIC_HALF}"] = f"{keyring.ssh_public_key(f'{_KEYS}{name}')}\n"
    return files


def mode(name: str) -> int:
    """Return the permission bits of a file."""
    return 0o400 if name.startswith(_KEYS) and not name.endswith(PUBLIC_HALF) else 0o600


def directory(platform: Platform) -> Path:
    """Where the files live."""
    return Path(platform.settings["dockfra_state_dir"])


def stale(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names of files that are missing or differ."""
    return [name for name, text in files.items() if not _same(folder / name, text)]


def write(folder: Path, files: Mapping[str, str], updated: Sequence[str]) -> None:
    """Write those of the files; raises FileTreeError."""
    for name in updated:
        public = f"{name}{PUBLIC_HALF}"
        if public in files:
            remove_file(folder / public)
        for file in (name, public):
            if files.get(file):
                write_file(folder / file, WantedFile(files[file].encode(), mode(file)))
            elif file in files:
                remove_file(folder / file)


def describe(topology: Topology, service: Service) -> dict[str, Any]:
    """Return a service as plain data for templates."""
    server = topology.servers.get(service.docker_host, Server(service.docker_host))
    return {
        "name": service.name,
        "container": topology.container_name(service.name),
        "description": service.description,
        "user": service.user,
        "networks": list(service.networks),
        "ports": [
            {
                "name": port.name,
                "port": port.number,
                "publish": port.publish,
                "networks": list(port.networks),
                "host": port.local_address if port.is_local or not server.address else server.address,
                # What answers on another machine alone is reached over that one.
                "through": server.name if port.is_local and server.address else "",
            }
            for port in service.ports
        ],
        "published": bool(service.published),
        "logins": service.logins,
        "reverse_proxy": service.is_reverse_proxy,
        "address": service.external_address,
        "local_only": service.is_local_only,
        "docker_host": service.docker_host,
        "open": _open(service),
    }


def _open(service: Service) -> str:
    """The service, and those of its published ports that other machines reach where it is not all of them."""
    names = [port.name for port in service.published if not port.is_local]
    return service.name if len(names) == len(service.published) else f"{service.name} ({', '.join(names)})"


def _published_ssh(service: Service) -> bool:
    """Whether there is a way without another server in between."""
    return not service.external_address and any(port.publish for port in service.ssh_ports)


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text if text else not path.exists()
