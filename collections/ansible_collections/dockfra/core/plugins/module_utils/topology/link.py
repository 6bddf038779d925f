# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How an edge crosses from one Docker host to another: through the link between the tunnels of the two.

On the callers' host there is an internal network for each service of the other host that is called from there: on it are its callers
and their tunnel, which bears the service's name and listens on its ports. So callers need no other address. On the service's host the
tunnel sits on the networks where the service listens, and opens the connections.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from .model import Service
from .ports import LOOPBACK, Port

# The network of a tunnel that is no other service's: its way out, and the way in from its Docker host.
NETWORK = "link-net"

# The port of its own loopback at which a tunnel has the audit logs of its Docker host; at the following ones it finds those of others.
AUDIT_PORT = 2300

# What the networks of the crossings begin with.
PREFIX = "to-"


@dataclass(frozen=True)
class Server:
    """A Docker host, as its inventory entry has it.

    Attributes:
        name: its inventory name.
        address: where others find it; empty for the machine on which Ansible runs.
        port: the port of its own SSH server.
        user: as whom Ansible logs in there, if that is said.
        host_key: the public host key line of its own SSH server, if that is said.
        key_file: the private key with which Ansible logs in there, if that is said.
    """

    name: str
    address: str = ""
    port: int = 22
    user: str = ""
    host_key: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class Crossing:
    """A service as its callers on another Docker host find it.

    Attributes:
        docker_host: the callers' host.
        network: on which they and the tunnel of their host are, and nobody else.
        service: whose ports they reach.
        ports: the numbers of these, each with the network on which the service listens there.
        callers: who reaches them.
    """

    docker_host: str
    network: str
    service: str
    ports: tuple[tuple[int, str], ...]
    callers: tuple[str, ...]


@dataclass(frozen=True)
class Forward:
    """A port that one tunnel listens on, and what the other one connects to for it.

    Attributes:
        service: whose port it is.
        listen: the name of the first tunnel's own address.
        port: the number there.
        host: the name or address that the second tunnel connects to.
        target: the number there.
    """

    service: str
    listen: str
    port: int
    host: str
    target: int


@dataclass(frozen=True)
class Link:
    """What one tunnel keeps open to another.

    Attributes:
        tunnel: the other tunnel.
        user: as whom the first logs in there.
        server: the Docker host of the other.
        address: where on that host its SSH port is published.
        port: the number there.
        local: the ports of services over there, that the first tunnel listens on.
        remote: those of services over here, that the other listens on.
    """

    tunnel: str
    user: str
    server: Server
    address: str
    port: int
    local: tuple[Forward, ...]
    remote: tuple[Forward, ...]


def calls(service: Service) -> bool:
    """Whether a service calls others on other Docker hosts. Tunnels and gateways of engines only answer, and a device is elsewhere."""
    return not (service.is_tunnel or service.docker_sockets or service.external_address)


def outside(device: Service, port: Port) -> int:
    """Return the number of a real device's port where it runs: that of SSH is said apart."""
    return int(device.variables.get("dockfra_ssh_port") or 22) if port.protocol == "ssh" else port.number


def tunnels(services: Mapping[str, Service]) -> dict[str, Service]:
    """Return the tunnel of each Docker host that has one."""
    return {service.docker_host: service for service in services.values() if service.is_tunnel}


def joined(services: Mapping[str, Service]) -> set[tuple[str, str]]:
    """Return the pairs of Docker hosts between which there is a link, each in both orders."""
    found = set()
    for tunnel in services.values():
        for other in tunnel.links:
            if other in services:
                pair = (tunnel.docker_host, services[other].docker_host)
                found |= {pair, pair[::-1]} if len(set(pair)) == 2 else set()
    return found


def crossings(services: Mapping[str, Service]) -> list[Crossing]:
    """Return what is called across the links, in the order of the inventory."""
    pairs = joined(services)
    found = []
    for listener in services.values() if pairs else ():
        groups: dict[tuple[str, tuple[int, ...]], dict[str, tuple[tuple[int, str], ...]]] = {}
        for caller in services.values():
            if (caller.docker_host, listener.docker_host) not in pairs or not calls(caller):
                continue
            ports = _shared(caller, listener)
            if ports:
                numbers = tuple(number for number, _network in ports)
                groups.setdefault((caller.docker_host, numbers), {})[caller.name] = ports
        for (docker_host, numbers), callers in groups.items():
            # Callers who reach other ports of the service are on another network: its name has one address for each of them.
            alone = sum(host == docker_host for host, _numbers in groups) == 1
            own = "" if alone else f"-{'-'.join(map(str, numbers))}"
            network = f"{PREFIX}{listener.name}{own}"
            found.append(
                Crossing(docker_host, network, listener.name, next(iter(callers.values())), tuple(callers))
            )
    return found


def _shared(caller: Service, listener: Service) -> tuple[tuple[int, str], ...]:
    """The ports of one service that another would reach on a network they share, with the first of these."""
    found = []
    for port in listener.ports:
        through = [network for network in port.networks if network in caller.networks]
        if through:
            found.append((port.number, through[0]))
    return tuple(found)


def placed(
    services: Mapping[str, Service], crossing: Sequence[Crossing], internal: Container[str]
) -> dict[str, Service]:
    """Return the services with the networks they have on their Docker host.

    These are the networks that the inventory names, without those on which a caller finds nobody there, and those of the crossings.

    Args:
        services: the services as the inventory has them.
        crossing: what is called across the links.
        internal: the networks without a way out.
    """
    if not crossing:
        return dict(services)
    added: dict[str, list[str]] = {name: [] for name in services}
    by_host = tunnels(services)
    for each in crossing:
        for name in (*each.callers, by_host[each.docker_host].name):
            added[name].append(each.network)
        listener = services[each.service]
        if not listener.external_address:
            added[by_host[listener.docker_host].name] += [network for _number, network in each.ports]
    users: dict[str, list[str]] = {}
    for service in services.values():
        for network in dict.fromkeys([*service.networks, *added[service.name]]):
            if not service.external_address:
                users.setdefault(network, []).append(service.docker_host)
    found = {}
    for name, service in services.items():
        idle = {
            network
            for network in service.networks
            if users.get(network, []).count(service.docker_host) == 1 < len(users[network])
            and network not in service.listen_networks
        }
        if all(network in internal or network in idle for network in service.networks):
            # What is left would have no way out.
            idle -= {network for network in idle if network not in internal}
        kept = () if service.is_tunnel else idle
        networks = [network for network in service.networks if network not in kept] + added[name]
        # One whom nobody calls here, and who calls nobody, keeps what it has.
        found[name] = dataclasses.replace(
            service, networks=tuple(dict.fromkeys(networks)) or service.networks
        )
    return found


def forward(crossing: Crossing, services: Mapping[str, Service], tunnel: Service) -> list[Forward]:
    """Return a crossing's ports as forwards, the first tunnel being that of the callers' host."""
    listener = services[crossing.service]
    found = []
    for number, network in crossing.ports:
        host, target = listener.host_on(network), number
        if listener.external_address:
            host = listener.external_address
            target = next(outside(listener, port) for port in listener.ports if port.number == number)
        found.append(Forward(listener.name, tunnel.host_on(crossing.network), number, host, target))
    return found


def audit_port(far: Service, tunnels: Mapping[str, Service]) -> int:
    """Return the port of its own loopback at which any tunnel finds the audit logs of another one's Docker host."""
    return AUDIT_PORT + 1 + list(tunnels).index(far.docker_host)


def audit_forward(far: Service, tunnels: Mapping[str, Service]) -> Forward:
    """Return the way to the audit logs of a tunnel's Docker host: from the loopback of the other tunnel to that of this one."""
    return Forward(far.name, LOOPBACK, audit_port(far, tunnels), LOOPBACK, AUDIT_PORT)
