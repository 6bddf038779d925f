# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What follows from the services of an inventory: names, gateways, edges, SSH peers, routes, and whom to ask for health.

All of it is worked out here and nowhere else, so that templates, probes, tests and documentation agree.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..audit import files as audit_files
from ..backups.parts import FILES
from ..policy.model import Policy
from ..releases.links import ROOT as RELEASES
from ..releases.links import STATES
from .deploys import Deployable, Fleeted
from .model import Edge, Engine, Listener, Login, Network, Reach, ServedRoute, Service, Volume

# Whoever has this command goes to other roles in person.
PROMPT_COMMAND = "ssh-to"


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


# What a service says of its releases is short and said anew at each start. The releases themselves can write there too.
_STATE = "size=1m,nr_inodes=64,mode=0755"


# Bits of a network's part of the range: 254 addresses are enough for every service.
_SUBNET = 24


class Topology:
    """All services of one platform and the networks between them.

    Args:
        project: prefix of every name on the Docker host.
        services: the services, any order.
        network_options: per network name the options of `Network`, for networks that need any.
        policy: who may run which command where.
        ipv4_range: the IPv4 addresses from which networks without a subnet get one; empty for Docker's choice.
    """

    def __init__(
        self,
        project: str,
        services: Iterable[Service],
        network_options: Mapping[str, Mapping[str, Any]] | None = None,
        policy: Policy | None = None,
        ipv4_range: str = "",
    ) -> None:
        self.project = project
        self.policy = policy or Policy({}, {})
        self.services: dict[str, Service] = {service.name: service for service in services}
        self.network_options = dict(network_options or {})
        self.ipv4_range = ipv4_range
        names = dict.fromkeys(network for service in self.services.values() for network in service.networks)
        # Options that `problems` refuses are left out here.
        self.networks: dict[str, Network] = {
            name: Network(
                name=name,
                **{
                    key: value
                    for key, value in dict(self.network_options.get(name) or {}).items()
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

    def edges(self) -> set[Edge]:
        """Every connection that works: caller and listener share a network on which the listener listens."""
        return {
            edge
            for edge in self._declared_edges()
            if self.services[edge.caller].docker_host == self.services[edge.listener].docker_host
        }

    def crossing_edges(self) -> set[Edge]:
        """What the inventory declares, and no network carries: caller and listener are on different Docker hosts."""
        return set(self._declared_edges()) - self.edges()

    def _declared_edges(self) -> Iterator[Edge]:
        return (
            Edge(caller.name, listener.name, port.number, network)
            for listener in self.containers()
            for port in listener.ports
            for network in port.networks
            for caller in self.containers()
            if caller.name != listener.name and network in caller.networks
        )

    # Ports ---------------------------------------------------------------------------------------------------------

    def listeners(self, name: str) -> list[Listener]:
        """Where service ``name`` listens, network by network in the order of the inventory."""
        service = self.services[name]
        return [
            Listener(port.name, port.protocol, service.host_on(network), port.number)
            for network in service.listen_networks
            for port in service.ports
            if network in port.networks
        ]

    def reachable_ports(self, name: str) -> list[Reach]:
        """The ports that service ``name`` can connect to, its own among them, in the order of the inventory."""
        caller = self.services[name]
        found = []
        for listener in self.services.values():
            shared = [network for network in caller.networks if network in listener.listen_networks]
            for port in listener.ports:
                through = [network for network in shared if network in port.networks]
                if not through:
                    continue
                # The plain name leads to any network they share; where only some of them will do, it is one of those.
                host = listener.name if through == shared else listener.host_on(through[0])
                number = port.number
                if listener.external_address:
                    host = listener.external_address
                    if port.protocol == "ssh":
                        number = int(listener.variables.get("dockfra_ssh_port") or 22)
                health = listener.health
                found.append(
                    Reach(listener.name, port.name, port.protocol, host, number, health.path, health.below)
                )
        return found

    def engines(self, name: str) -> list[Engine]:
        """The Docker Engines that service ``name`` can ask, its own Docker host's first."""
        found = []
        for port in self.reachable_ports(name):
            gateway = self.services[port.service]
            if gateway.name != name and gateway.docker_sockets and port.kind == "http":
                containers = {
                    service.name: self.container_name(service.name)
                    for service in self.on_host(gateway.docker_host)
                }
                found.append(Engine(gateway.docker_host, gateway.name, port.host, port.port, containers))
        own = self.services[name].docker_host
        return sorted(found, key=lambda engine: engine.docker_host != own)

    def published_ports(self, name: str) -> list[Reach]:
        """The published ports of service ``name`` as its Docker host finds them."""
        service = self.services[name]
        if service.external_address:
            return []
        address = service.publish_address
        host = "127.0.0.1" if address in ("", "0.0.0.0") else address  # noqa: S104  it is asked, not listened on
        health = service.health
        return [
            Reach(name, port.name, port.protocol, host, port.publish, health.path, health.below)
            for port in service.ports
            if port.publish is not None
        ]

    def environment(self, name: str) -> dict[str, str]:
        """What the inventory says of service ``name`` itself, as environment variables of its container."""
        service = self.services[name]
        found = {
            f"DOCKFRA_PORT_{port.name.upper().replace('-', '_')}": str(port.number) for port in service.ports
        }
        if any(port.protocol == "http" for port in service.ports):
            found["DOCKFRA_HEALTH_PATH"] = service.health.path
        return found

    # Routes --------------------------------------------------------------------------------------------------------

    def reverse_proxies(self) -> list[Service]:
        """The services that offer the routes of all others."""
        return [service for service in self.services.values() if service.is_reverse_proxy]

    def served_routes(self, proxy: str) -> list[ServedRoute]:
        """The routes that a reverse proxy can serve, by the name of their service."""
        reach = {(port.service, port.name): port for port in self.reachable_ports(proxy)}
        found = []
        for service in sorted(self.services.values(), key=lambda service: service.name):
            for number, route in enumerate(service.routes):
                there = reach.get((service.name, route.port))
                if there is None:
                    continue
                found.append(
                    ServedRoute(
                        name=service.name if number == 0 else f"{service.name}-{number + 1}",
                        service=service.name,
                        host=there.host,
                        port=there.port,
                        path=route.path,
                        strip=route.strip,
                        priority=route.priority,
                        health=there.path,
                        below=there.below,
                        pages=service.health.pages,
                    )
                )
        return found

    def needs(self) -> dict[str, list[str]]:
        """The services without which each cannot work: what it says itself, and of a reverse proxy whoever has the page by which it is judged."""
        found = {service.name: list(service.needs) for service in self.services.values()}
        for proxy in self.reverse_proxies():
            pages = [route.service for route in self.served_routes(proxy.name) if route.path == "/"]
            found[proxy.name] = [*dict.fromkeys([*found[proxy.name], *pages])]
        return found

    def routes_within_reach(self, name: str) -> list[ServedRoute]:
        """The routes of the reverse proxies that service ``name`` is or can connect to."""
        reachable = {port.service for port in self.reachable_ports(name)}
        return [
            route
            for proxy in self.reverse_proxies()
            if proxy.name in reachable
            for route in self.served_routes(proxy.name)
        ]

    # SSH and the policy --------------------------------------------------------------------------------------------

    def ssh_peers(self, name: str) -> list[Service]:
        """The SSH servers that service ``name`` can reach, in the order of the inventory."""
        caller = self.services[name]
        return [
            peer
            for peer in self.services.values()
            if peer.name != name and any(set(port.networks) & set(caller.networks) for port in peer.ssh_ports)
        ]

    def places(self) -> dict[str, str]:
        """The services by the names the policy has for them."""
        return {
            service.place: service.name for service in sorted(self.services.values(), key=lambda s: s.place)
        }

    def roles(self) -> list[str]:
        """The places that people log in to with the key that lives there."""
        return [service.place for service in self.services.values() if service.client_key in service.logins]

    def role_logins(self) -> list[Login]:
        """People's ways in to `roles`, where they are published, in the order of the inventory."""
        roles = set(self.roles())
        return [
            Login(service.place, service.description, service.user, port.publish, service.is_local_only)
            for service in self.containers()
            for port in service.ssh_ports
            if service.place in roles and port.publish is not None
        ]

    def gate_callers(self, name: str) -> list[str]:
        """The client keys that reach the gate of service ``name``, in the order of the policy."""
        keys = {service.client_key for service in self.services.values()}
        return [caller for caller in self.policy.callers(self.services[name].place) if caller in keys]

    def gate_prompts(self, name: str) -> list[str]:
        """Those of `gate_callers` who get a prompt there: people, who have the command for it."""
        rule = self.policy.rules.get(PROMPT_COMMAND)
        return [caller for caller in self.gate_callers(name) if rule and caller in rule.callers]

    def gates_of(self, name: str) -> list[str]:
        """The services at whose gate the client key of service ``name`` may do something."""
        key = self.services[name].client_key
        return [other for other in self.services if key and key in self.gate_callers(other)]

    def admits(self, name: str, key: str) -> bool:
        """Whether a client key opens service ``name``: for a shell, its gate, a tunnel or a way through."""
        service = self.services[name]
        return bool(key) and (
            key in service.logins
            or key in service.tunnels
            or key in service.forwards
            or key in self.gate_callers(name)
        )

    # Releases -------------------------------------------------------------------------------------------------------

    def bastions(self, target: str) -> list[Service]:
        """The services through which a target's deploys go; one, unless `problems` refuses it."""
        return [service for service in self.services.values() if target in service.release_targets]

    def released_through(self, name: str) -> list[Service]:
        """The services whose releases are kept at service ``name``, in the order of the inventory."""
        targets = self.services[name].release_targets
        return [
            service for service in self.containers() if service.release and service.release.target in targets
        ]

    def deployables(self, name: str) -> list[Deployable]:
        """The services that can be deployed from service ``name``: it may ask their bastion to switch."""
        reach = {port.service: port for port in reversed(self.reachable_ports(name)) if port.kind == "http"}
        found = []
        for bastion in self.gates_of(name):
            for service in self.released_through(bastion):
                if service.release is None:  # those have one
                    continue
                target, path = service.release.target, service.release.path
                there = reach.get(service.name)
                place = (there.host, there.port, there.path) if there else ()
                found.append(Deployable(service.name, target, path, bastion, *place))
        return found

    def devices_through(self, name: str) -> list[Service]:
        """The devices that get the releases which are kept at service ``name``, in the order of the inventory."""
        kept = {service.name for service in self.released_through(name)}
        return [service for service in self.services.values() if service.runs in kept]

    def devices(self, name: str) -> list[Fleeted]:
        """The devices that can be deployed from service ``name``: it may ask their bastion to do it."""
        return [
            Fleeted(device.name, device.runs, bastion, self.services[bastion].device_share)
            for bastion in self.gates_of(name)
            for device in self.devices_through(bastion)
        ]

    def _release_volumes(self, name: str) -> list[Volume]:
        """Of a service with releases: they, which it reads, and what it says of them. Its bastion has both the other way round."""
        found = []
        own = [self.services[name]] if self.services[name].release else []
        for service in (*own, *self.released_through(name)):
            there = service.name == name
            found.append(
                Volume(
                    f"{service.name}-releases", f"{RELEASES}/{service.name}", read_only=there, backup=FILES
                )
            )
            found.append(
                Volume(
                    f"{service.name}-state",
                    f"{STATES}/{service.name}",
                    read_only=not there,
                    memory=f"{_STATE},uid={service.uid},gid={service.uid}",
                )
            )
        return found

    # Audit logs and volumes ----------------------------------------------------------------------------------------

    def audited(self) -> list[Service]:
        """The services with an audit log, by name: those where commands of the policy run."""
        places = {place for rule in self.policy.rules.values() for place in rule.places}
        return sorted(
            (service for service in self.containers() if service.place in places), key=lambda s: s.name
        )

    def audit_logs(self, name: str) -> list[str]:
        """The services whose audit log is in the container of service ``name``: itself, for a reader all of its host."""
        service = self.services[name]
        return [
            other.name
            for other in self.audited()
            if other == service or (service.reads_audit and other.docker_host == service.docker_host)
        ]

    def volumes(self, name: str) -> list[Volume]:
        """The volumes of service ``name``: its own, those of releases, that of its audit log, and for a reader those of the other logs."""
        found = [*self.services[name].volumes, *self._release_volumes(name)]
        for other in self.audit_logs(name):
            if other == name:
                found.append(Volume(f"audit-{other}", audit_files.DIRECTORY, backup=FILES))
            else:
                found.append(Volume(f"audit-{other}", f"{audit_files.OTHERS}/{other}", read_only=True))
        return found


def short_names(services: Iterable[Service]) -> dict[str, str]:
    """Return the services' short names, by name, where no other one of them is called so."""
    found = {service.name: service.short_name for service in services}
    return {name: short for name, short in found.items() if short != name and short not in found}
