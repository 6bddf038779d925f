# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service listens on, and where its Docker host offers that."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What a port can speak besides plain TCP.
PROTOCOLS = ("http", "https", "ssh", "postgres", "redis")

LOOPBACK = "127.0.0.1"

# All addresses of a machine, and by which one it reaches itself then.
_EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  compared, and listened on where the inventory says so


@dataclass(frozen=True)
class Port:
    """A TCP port a service listens on.

    Attributes:
        name: what the port speaks, unique within its service.
        number: the port inside the container.
        publish: the port on the Docker host, or None when it is not published.
        networks: the networks on which the service listens; none for a port that only a tunnel leads to.
        address: that of the Docker host to which the published port is bound.
    """

    name: str
    number: int
    publish: int | None
    networks: tuple[str, ...]
    address: str = LOOPBACK

    @property
    def protocol(self) -> str:
        """What it speaks, by its name: the protocol, or that and a word for what it is for (``http-dashboard``)."""
        spoken = self.name.partition("-")[0]
        return spoken if spoken in PROTOCOLS else "tcp"

    @property
    def is_local(self) -> bool:
        """Whether it answers, where it is published, on the Docker host itself and nowhere else."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    @property
    def local_address(self) -> str:
        """The address under which the Docker host itself finds it, where it is published."""
        return _EVERYWHERE.get(self.address, self.address)

    @property
    def binding(self) -> str:
        """The published port as Docker writes it: ``address:port:port inside/tcp``."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.publish}:{self.number}/tcp"


def declared_ports(variables: Mapping[str, Any], networks: tuple[str, ...]) -> tuple[Port, ...]:
    """Return the ports of a service.

    Args:
        variables: its host variables, see the argument specification of the role ``dockfra.core.service``.
        networks: those that it sits on.
    """
    offset = int(variables.get("dockfra_port_offset") or 0)
    usual = str(variables.get("dockfra_publish_address") or LOOPBACK)
    addresses = dict(variables.get("dockfra_publish_addresses") or {})
    return tuple(
        Port(
            name=str(entry["name"]),
            number=int(entry["port"]),
            publish=int(entry["publish"]) + offset if entry.get("publish") is not None else None,
            networks=() if entry.get("loopback") else tuple(entry.get("networks") or networks),
            address=str(addresses.get(entry["name"], usual)),
        )
        for entry in variables.get("dockfra_ports") or ()
    )
