# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the services of an inventory are: their Docker hosts, the networks there, and who reaches whom over these."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..policy.model import Policy
from . import link
from .model import Edge, Network, Service


def _is_subnet(value: Any) -> bool:
    try:
        return value is None or bool(ipaddress.IPv4Network(value))
    except ValueError:
        return False


# The options of a network in the inventory, each with what tells its good values.
NETWORK_OPTIONS: dict[str, Callable[[Any], bool]] = {
    "internal": lambda value: isinstance(value, bool),
    "gateway": lambda value: isinstance(value, bool),
    "subnet": _is_subnet,
}

# Bits of a network's part of the range: 254 addresses are enough for every service.
_SUBNET = 24


class Placement:
    """All services of one platform and the networks between them.

    Args:
        project: prefix of every name on the Docker host.
        services: the services, any order.
        network_options: per network name the options of `Network`, for networks that need any.
        policy: who may run which command where.
        ipv4_range: the IPv4 addresses from which networks without a subnet get one; empty for Docker's choice.
        servers: what is known of the Docker hosts, by name.

    Attributes:
        services: the services, with the networks that each has on its Docker host.
        declared: the services as the inventory has them; on one Docker host the same.
        joined: the pairs of Docker hosts between which there is a link, in both orders.
        crossings: what is called across these links.
    """

    def __init__(
        self,
        project: str,
        services: Iterable[Service],
        network_options: Mapping[str, Mapping[str, Any]] | None = None,
        policy: Policy | None = None,
        ipv4_range: str = "",
        servers: Mapping[str, link.Server] | None = None,
    ) -> None:
        self.project = project
        self.policy = policy or Policy({}, {})
        self.declared: dict[str, Service] = {service.name: service for service in services}
        self.servers = dict(servers or {})
        self.joined = link.joined(self.declared)
        self.crossings = link.crossings(self.declared)
        self._crossing = {(caller, each.service): each for each in self.crossings for caller in each.callers}
        self.network_options = dict(network_options or {})
        internal = {
            name for name, options in self.network_options.items() if dict(options or {}).get("internal")
        }
        self.services = link.placed(self.declared, self.crossings, internal)
        self.tunnels = link.tunnels(self.services)
        self.ipv4_range = ipv4_range
        names = dict.fromkeys(
            network
            for service in (*self.declared.values(), *self.services.values())
            for network in service.networks
        )
        derived: dict[str, dict[str, Any]] = {each.network: {"internal": True} for each in self.crossings}
        if self.tunnels:
            derived[link.NETWORK] = {"gateway": True}
        # Options that `problems` refuses are left out here.
        self.networks: dict[str, Network] = {
            name: Network(
                name=name,
                **{
                    key: value
                    for key, value in {
                        **derived.get(name, {}),
                        **dict(self.network_options.get(name) or {}),
                    }.items()
                    if key in NETWORK_OPTIONS
                },
            )
            for name in names
        }

    # Names on the Docker host --------------------------------------------------------------------------------------

    def container_name(self, service: str) -> str:
        return f"{self.project}-{service}"

    def network_name(self, network: str) -> str:
        return f"{self.project}-{network}"

    def volume_name(self, volume: str) -> str:
        return f"{self.project}-{volume}"

    def ipv4_subnets(self) -> dict[str, str]:
        """The IPv4 subnets of networks that have one of their own or of the range; Docker chooses those of the others.

        A place follows from the network's name, so that one more network leaves the others where they are, but for those whose
        place is taken.
        """
        found = {name: network.subnet for name, network in self.networks.items() if network.subnet}
        if not self.ipv4_range:
            return found
        whole = ipaddress.IPv4Network(self.ipv4_range)
        count = 2 ** (_SUBNET - whole.prefixlen)
        taken: set[int] = set()
        for name in sorted(self.networks.keys() - found.keys()):
            place = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % count
            while place in taken:
                place = (place + 1) % count
            taken.add(place)
            found[name] = f"{whole.network_address + place * 2 ** (32 - _SUBNET)}/{_SUBNET}"
        return found

    def ipv6_subnet(self, network: str) -> str:
        """A unique local IPv6 subnet (RFC 4193) for a gateway network, the same on every run.

        Docker takes an endpoint with both address families as a container's gateway before any other, which is the
        only ordering that engines before 28 offer. The containers themselves have IPv6 switched off.
        """
        digest = hashlib.sha256(self.network_name(network).encode()).digest()
        return str(ipaddress.IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64)))

    # Services and networks -----------------------------------------------------------------------------------------

    def containers(self) -> Iterator[Service]:
        """The services that run as containers here, real devices left out."""
        return (service for service in self.services.values() if not service.external_address)

    def stacks(self) -> dict[str, list[Service]]:
        """The services by their stack, both in the order of the inventory; those of no stack come last."""
        names = dict.fromkeys(service.stack for service in self.services.values())
        return {
            name: [service for service in self.services.values() if service.stack == name]
            for name in sorted(names, key=lambda name: not name)
        }

    def on_host(self, docker_host: str) -> list[Service]:
        """The services that run as containers on a Docker host."""
        return [service for service in self.containers() if service.docker_host == docker_host]

    def gateway_network(self, service: Service) -> str | None:
        """The network through which Docker publishes the service's ports, or None when all are internal.

        Docker prefers dual-stack networks and then takes the first name in byte order (libnetwork, ``endpoint.Less``).
        """
        outward = [self.networks[name] for name in service.networks if not self.networks[name].internal]
        if not outward:
            return None
        return min(outward, key=lambda network: (not network.gateway, self.network_name(network.name))).name

    def aliases(self, service: Service, network: str) -> list[str]:
        """The names of a service on a network: callers find it only where it listens, and itself everywhere it does.

        A tunnel has the name of the service that is called through it there.
        """
        crossed = [each.service for each in self.crossings if each.network == network]
        if crossed and self.tunnels.get(service.docker_host) == service:
            return [*dict.fromkeys(crossed), service.host_on(network)]
        return [service.name, service.host_on(network)] if network in service.listen_networks else []

    def edges(self) -> set[Edge]:
        """Every connection that works on a Docker host: caller and listener share a network on which the listener listens.

        What is called on another Docker host is the tunnel's there, see `crossing_edges`.
        """
        found = set(self._edges(self.services, self._same_host))
        for each in self.crossings:
            tunnel = self.tunnels[each.docker_host].name
            found |= {
                Edge(caller, tunnel, number, each.network)
                for caller in each.callers
                for number, _network in each.ports
            }
        return found

    def crossing_edges(self) -> set[Edge]:
        """What the inventory declares and no network can carry, because caller and listener are on different Docker hosts.

        See `link.calls` for those that call nobody.
        """
        return set(
            self._edges(
                self.declared,
                lambda caller, listener: link.calls(caller) and not self._same_host(caller, listener),
            )
        )

    def unlinked_edges(self) -> set[Edge]:
        """Those of `crossing_edges` that no link carries."""
        return {edge for edge in self.crossing_edges() if (edge.caller, edge.listener) not in self._crossing}

    def is_far(self, name: str, other: str) -> bool:
        """Whether two services are on different Docker hosts."""
        return not self._same_host(self.services[name], self.services[other])

    @staticmethod
    def _same_host(one: Service, other: Service) -> bool:
        return one.docker_host == other.docker_host

    @staticmethod
    def _edges(
        services: Mapping[str, Service], admitted: Callable[[Service, Service], bool]
    ) -> Iterator[Edge]:
        containers = [service for service in services.values() if not service.external_address]
        return (
            Edge(caller.name, listener.name, port.number, network)
            for listener in containers
            for port in listener.ports
            for network in port.networks
            for caller in containers
            if caller.name != listener.name and network in caller.networks and admitted(caller, listener)
        )
