# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What in an inventory cannot work between Docker hosts: no network, volume or log spans them, and a link joins only two of them."""

from __future__ import annotations

import functools

from ..text import shown
from .link import NETWORK, Server
from .model import Service
from .problem import Problem, Problems, nearest
from .reached import address_problem, host_key_problem
from .topology import Topology

_HOST = "dockfra_docker_host"
_LINKS = "dockfra_links"


def links(topology: Topology) -> Problems:
    """Yield what is wrong with the links that are declared."""
    made = {each.network for each in topology.crossings}
    for service in topology.declared.values():
        for network in made.intersection(service.networks):
            yield Problem(
                service,
                "dockfra_networks",
                f"dockfra_networks has '{network}', which is the name of a network between the callers of a service on another Docker host "
                "and their tunnel; choose another.",
            )
    tunnels = [service for service in topology.containers() if service.is_tunnel]
    for tunnel in tunnels:
        at = functools.partial(Problem, tunnel, _LINKS)
        first, *_others = (other for other in tunnels if other.docker_host == tunnel.docker_host)
        if tunnel is not first:
            yield at(
                f"runs on {tunnel.docker_host}, where {first.name} is the tunnel already; take dockfra_links out of one of them."
            )
        if NETWORK not in tunnel.networks:
            yield at(
                f"has dockfra_links, so it needs a way out of its own; add {NETWORK} to dockfra_networks."
            )
        if tunnel.links and not tunnel.client_key:
            yield at("opens links, but has no key for that; give it a dockfra_ssh_client_key.")
        for name in tunnel.links:
            yield from _link(topology, tunnel, name)


def _link(topology: Topology, tunnel: Service, name: str) -> Problems:
    at = functools.partial(Problem, tunnel, _LINKS)
    other = topology.services.get(name)
    if other is None or not other.is_tunnel:
        known = [each.name for each in topology.tunnels.values() if each.docker_host != tunnel.docker_host]
        yield at(
            f"dockfra_links has '{name}', which is no tunnel (a service with dockfra_links, though it may be empty)."
            f"{nearest(name, known)}"
        )
        return
    if other.docker_host == tunnel.docker_host:
        yield at(
            f"dockfra_links has '{name}', which runs on {tunnel.docker_host} as well; a link is between two Docker hosts."
        )
    if tunnel.name in other.links:
        yield at(f"dockfra_links has '{name}', which has a link to here itself; one of them is enough.")
    if not any(port.publish is not None for port in other.ssh_ports):
        yield Problem(
            other,
            "dockfra_ports",
            f"is where the link of {tunnel.name} ends, but publishes no port that speaks SSH; add `publish` there.",
        )
    if not other.is_local_only:
        yield Problem(
            other,
            "dockfra_publish_address",
            f"is where the link of {tunnel.name} ends, which comes over {other.docker_host} itself; "
            "set dockfra_publish_address to 127.0.0.1 for it.",
        )
    yield from _server(other, topology.servers.get(other.docker_host, Server(other.docker_host)))


def _server(tunnel: Service, server: Server) -> Problems:
    """What has to be known of the Docker host to which a link leads."""
    if not server.address:
        yield Problem(
            tunnel,
            _HOST,
            f"runs on {server.name}, to which a link leads, but that has no address; set ansible_host of {server.name}.",
        )
    elif not server.host_key:
        yield Problem(
            tunnel,
            _HOST,
            f"runs on {server.name}, to which a link leads, and host keys are pinned; set dockfra_server_host_key of {server.name} "
            f"to what `ssh-keyscan -t ed25519 -p {server.port} {server.address}` prints after the address, once you have checked that.",
        )
    elif why := host_key_problem(server.host_key):
        yield Problem(
            tunnel,
            _HOST,
            f"runs on {server.name}, to which a link leads, and dockfra_server_host_key of {server.name} cannot be "
            f"{shown(server.host_key)}: {why}.",
        )


def problems(topology: Topology) -> Problems:
    """Yield what would have to span Docker hosts, and nothing carries."""
    yield from _addresses(topology)
    yield from _edges(topology)
    yield from _volumes(topology)
    yield from _logs(topology)


def _addresses(topology: Topology) -> Problems:
    first: dict[str, Service] = {}
    for service in topology.containers():
        first.setdefault(service.docker_host, service)
    for name, service in first.items():
        address = topology.servers[name].address if name in topology.servers else ""
        if address and (why := address_problem(address)):
            yield Problem(
                service,
                _HOST,
                f"runs on {name}, and ansible_host of {name} cannot be {shown(address)}: {why}.",
            )


def _edges(topology: Topology) -> Problems:
    services = topology.services
    unlinked = {(edge.caller, edge.listener, edge.network) for edge in topology.unlinked_edges()}
    for caller, listener, network in sorted(unlinked):
        here, there = services[caller].docker_host, services[listener].docker_host
        yield Problem(
            services[caller],
            _HOST,
            f"runs on {here} and cannot reach {listener} on {there}, because {network} does not span Docker hosts and no link joins "
            "the two; put both on one, take one off the network, or join the hosts (dockfra_links of their tunnels).",
        )


def _volumes(topology: Topology) -> Problems:
    """A volume is on one Docker host. Who only reads it elsewhere asks its writer, through the gate."""
    homes: dict[str, Service] = {}
    # The copies of logs are of one name on each host that has some, and those of logs are told apart.
    logs = {f"audit-{service.name}" for service in topology.audited()} | {topology.collected}
    for service in topology.containers():
        for volume in topology.volumes(service.name):
            other = homes.setdefault(volume.name, service)
            if volume.name not in logs and other.docker_host != service.docker_host:
                yield _spans(
                    service, volume.name, other, "but a volume does not span Docker hosts; put both on one."
                )
        for volume, writer in topology.far_volumes(service.name).items():
            if writer not in topology.gates_of(service.name):
                yield _spans(
                    service,
                    volume.name,
                    topology.services[writer],
                    "but a volume does not span Docker hosts, and no command takes it to the gate there (dockfra_commands); put both on one.",
                )


def _spans(service: Service, volume: str, other: Service, why: str) -> Problem:
    return Problem(
        service,
        _HOST,
        f"runs on {service.docker_host} and shares the volume '{volume}' with {other.name} on {other.docker_host}, {why}",
    )


def _logs(topology: Topology) -> Problems:
    for reader in topology.containers():
        if not reader.reads_audit or reader.is_tunnel:
            continue
        for writer in topology.audited():
            if writer.name not in topology.audit_logs(reader.name):
                yield Problem(
                    reader,
                    _HOST,
                    f"runs on {reader.docker_host} and cannot read the audit log of {writer.name} on {writer.docker_host}, "
                    "because nobody here has that from a tunnel there; join the hosts (dockfra_links of their tunnels, dockfra_reads_audit of the one "
                    "there), or put both on one.",
                )
