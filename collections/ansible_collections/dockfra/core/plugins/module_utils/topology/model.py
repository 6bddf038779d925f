# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The platform as typed data: services, the networks they share, and who can reach whom.

Everything that follows from the topology (gateway networks, published ports, edges, SSH peers) is worked out here and
nowhere else. The input is the validated host variables of the inventory; see the argument specification of the role
``dockfra.core.service`` for their meaning.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..audit import files as audit_files
from ..policy.model import Policy

# What Docker takes in the names of containers, networks and volumes, lower case because image names need it.
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_.-]*")

# The system's own users are below. Root inside a container is never needed here.
_LOWEST_UID = 1000

# Whoever has this command goes to other roles in person.
PROMPT_COMMAND = "ssh-to"

# Type, key in base64, and perhaps a comment, as in sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
_HOST_KEY = re.compile(r"(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]{40,}={0,2}( .*)?")


@dataclass(frozen=True)
class Port:
    """A TCP port a service listens on.

    Attributes:
        name: what the port speaks, unique within its service.
        number: the port inside the container.
        publish: the port on the Docker host, or None when it is not published.
        networks: the networks on which the service listens.
    """

    name: str
    number: int
    publish: int | None
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Volume:
    """A named volume and where a service sees it."""

    name: str
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class Network:
    """A Docker network.

    Attributes:
        internal: no way out of the network, and no port can be published through it.
        gateway: preferred as the way in and out of a container that sits on several outward networks.
        subnet: a fixed IPv4 subnet, or None for Docker's choice.
    """

    name: str
    internal: bool = False
    gateway: bool = False
    subnet: str | None = None


@dataclass(frozen=True)
class Service:
    """One service of the inventory. ``variables`` holds all its validated host variables."""

    name: str
    docker_host: str
    user: str
    uid: int
    networks: tuple[str, ...]
    ports: tuple[Port, ...]
    volumes: tuple[Volume, ...]
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def port(self, name: str) -> Port:
        """Return the port called ``name``; raises KeyError when there is none."""
        for port in self.ports:
            if port.name == name:
                return port
        raise KeyError(name)

    @property
    def listen_networks(self) -> tuple[str, ...]:
        """The networks on which at least one port listens, in the order of the inventory."""
        listening = {network for port in self.ports for network in port.networks}
        return tuple(network for network in self.networks if network in listening)

    @property
    def listen_hosts(self) -> list[str]:
        """Names that resolve, inside the container, to its own address on each network it listens on."""
        return [f"{self.name}.{network}" for network in self.listen_networks]

    @property
    def client_key(self) -> str:
        """Name of the SSH client key that lives in the container, or an empty string."""
        return str(self.variables.get("dockfra_ssh_client_key") or "")

    @property
    def logins(self) -> list[str]:
        """Names of the client keys that get a shell."""
        return list(self.variables.get("dockfra_ssh_logins") or ())

    @property
    def place(self) -> str:
        """What the policy calls the container: the name of its client key, or its own when it has none."""
        return self.client_key or self.name

    @property
    def external_address(self) -> str:
        """Where the service runs when it is not a container of ours (a real device), else an empty string."""
        return str(self.variables.get("dockfra_address") or "")

    @classmethod
    def from_variables(cls, name: str, variables: Mapping[str, Any]) -> Service:
        """Build a service from validated host variables (see the role ``dockfra.core.service``)."""
        networks = tuple(str(network) for network in variables.get("dockfra_networks") or ())
        offset = int(variables.get("dockfra_port_offset") or 0)
        ports = tuple(
            Port(
                name=str(entry["name"]),
                number=int(entry["port"]),
                publish=int(entry["publish"]) + offset if entry.get("publish") is not None else None,
                networks=tuple(entry.get("networks") or networks),
            )
            for entry in variables.get("dockfra_ports") or ()
        )
        volumes = tuple(
            Volume(str(entry["name"]), str(entry["path"]), bool(entry.get("read_only")))
            for entry in variables.get("dockfra_volumes") or ()
        )
        return cls(
            name=name,
            docker_host=str(variables.get("dockfra_docker_host") or "localhost"),
            user=str(variables.get("dockfra_user") or ""),
            uid=int(variables.get("dockfra_uid") or 0),
            networks=networks,
            ports=ports,
            volumes=volumes,
            variables=variables,
        )


@dataclass(frozen=True)
class Edge:
    """``caller`` can open a connection to ``port`` of ``listener`` over ``network``."""

    caller: str
    listener: str
    port: int
    network: str


@dataclass(frozen=True)
class Reach:
    """A port of a service, as a caller finds it.

    Attributes:
        service: whose port it is.
        name: the port's name.
        kind: the protocol behind the name: http, https, ssh, postgres, redis, else tcp.
        host: the name or address that leads there.
        port: its number there.
    """

    service: str
    name: str
    kind: str
    host: str
    port: int


class Topology:
    """All services of one platform and the networks between them.

    Args:
        project: prefix of every name on the Docker host.
        services: the services, any order.
        network_options: per network name the options of `Network`, for networks that need any.
        policy: who may run which command where.
    """

    def __init__(
        self,
        project: str,
        services: Iterable[Service],
        network_options: Mapping[str, Mapping[str, Any]] | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.project = project
        self.policy = policy or Policy({}, {})
        self.services: dict[str, Service] = {service.name: service for service in services}
        self._network_options = dict(network_options or {})
        names = dict.fromkeys(network for service in self.services.values() for network in service.networks)
        # Options that `problems` refuses are left out here.
        self.networks: dict[str, Network] = {
            name: Network(
                name=name,
                **{
                    key: value
                    for key, value in dict(self._network_options.get(name) or {}).items()
                    if key in _NETWORK_OPTIONS
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

    def ipv6_subnet(self, network: str) -> str:
        """A unique local IPv6 subnet (RFC 4193) for a gateway network, the same on every run.

        Docker takes an endpoint with both address families as a container's gateway before any other, which is the
        only ordering that engines before 28 offer. Nothing listens on these addresses.
        """
        digest = hashlib.sha256(self.network_name(network).encode()).digest()
        return str(ipaddress.IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64)))

    # What follows from the inventory -------------------------------------------------------------------------------

    def containers(self) -> Iterator[Service]:
        """The services that run as containers here, real devices left out."""
        return (service for service in self.services.values() if not service.external_address)

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
            Edge(caller.name, listener.name, port.number, network)
            for listener in self.containers()
            for port in listener.ports
            for network in port.networks
            for caller in self.containers()
            if caller.name != listener.name and network in caller.networks
        }

    def ssh_peers(self, name: str) -> list[Service]:
        """The SSH servers that service ``name`` can reach, in the order of the inventory."""
        caller = self.services[name]
        return [
            peer
            for peer in self.services.values()
            if peer.name != name
            and any(set(port.networks) & set(caller.networks) for port in ssh_ports(peer))
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
                host = listener.name if through == shared else f"{listener.name}.{through[0]}"
                number = port.number
                if listener.external_address:
                    host = listener.external_address
                    number = (
                        int(listener.variables.get("dockfra_ssh_port") or 22)
                        if port.name == "ssh"
                        else number
                    )
                found.append(Reach(listener.name, port.name, _protocol(port.name), host, number))
        return found

    def places(self) -> dict[str, str]:
        """The services by the names the policy has for them."""
        return {
            service.place: service.name for service in sorted(self.services.values(), key=lambda s: s.place)
        }

    def roles(self) -> list[str]:
        """The places that people log in to with the key that lives there."""
        return [service.place for service in self.services.values() if service.client_key in service.logins]

    def gate_callers(self, name: str) -> list[str]:
        """The client keys that reach the gate of service ``name``, in the order of the policy."""
        keys = {service.client_key for service in self.services.values()}
        return [caller for caller in self.policy.callers(self.services[name].place) if caller in keys]

    def gate_prompts(self, name: str) -> list[str]:
        """Those of `gate_callers` who get a prompt there: people, who have the command for it."""
        rule = self.policy.rules.get(PROMPT_COMMAND)
        return [caller for caller in self.gate_callers(name) if rule and caller in rule.callers]

    def admits(self, name: str, key: str) -> bool:
        """Whether a client key opens service ``name``: for a shell, its gate or a tunnel."""
        service = self.services[name]
        tunnels = service.variables.get("dockfra_ssh_tunnels") or ()
        return bool(key) and (key in service.logins or key in tunnels or key in self.gate_callers(name))

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
            if other == service
            or (service.variables.get("dockfra_reads_audit") and other.docker_host == service.docker_host)
        ]

    def volumes(self, name: str) -> list[Volume]:
        """The volumes of service ``name``: its own, that of its audit log, and for a reader those of the other logs."""
        found = list(self.services[name].volumes)
        for other in self.audit_logs(name):
            if other == name:
                found.append(Volume(f"audit-{other}", audit_files.DIRECTORY))
            else:
                found.append(Volume(f"audit-{other}", f"{audit_files.OTHERS}/{other}", read_only=True))
        return found

    # Contradictions ------------------------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """Everything in the inventory that cannot work together; an empty list when all is well."""
        found: list[str] = []
        if not _PROJECT.fullmatch(self.project):
            found.append(
                f"dockfra_project is '{self.project}'; use lower-case letters, digits, '-', '_' and '.', "
                "beginning with a letter or digit."
            )
        for name in self._network_options:
            if name not in self.networks:
                found.append(
                    f"dockfra_network_options names the network '{name}', which no service uses; "
                    f"the networks are {', '.join(sorted(self.networks))}."
                )
        found.extend(self._network_problems())
        keys = {service.client_key for service in self.services.values()}
        for service in self.services.values():
            found.extend(_service_problems(service))
            found.extend(_port_problems(service))
            found.extend(self._publish_problems(service))
            found.extend(_route_problems(service))
            found.extend(_login_problems(service, keys))
        found.extend(self._clashes())
        if not found:
            # Where a service is wrong, the policy would seem to contradict it in many places.
            found.extend(self.policy.problems(self.places(), self.roles()))
            found.extend(self._gate_problems())
        return found

    def _gate_problems(self) -> Iterator[str]:
        for service in self.services.values():
            for caller in self.gate_callers(service.name):
                if caller in service.logins:
                    yield (
                        f"{service.name}: dockfra_commands admits the key '{caller}' to the gate, and "
                        "dockfra_ssh_logins gives it a shell; take it out of one of them."
                    )
                if service not in self.ssh_peers(self.places()[caller]):
                    yield (
                        f"{service.name}: dockfra_commands admits the {caller}, whose container shares no network "
                        f"on which {service.name} listens for SSH; add one to dockfra_networks."
                    )

    def _network_problems(self) -> Iterator[str]:
        for name, options in self._network_options.items():
            for key, value in dict(options or {}).items():
                if key not in _NETWORK_OPTIONS:
                    yield (
                        f"dockfra_network_options: {name} has the unknown option '{key}'; "
                        f"there are {', '.join(_NETWORK_OPTIONS)}."
                    )
                elif not _NETWORK_OPTIONS[key](value):
                    yield f"dockfra_network_options: {key} of {name} cannot be '{value}'."

    def _publish_problems(self, service: Service) -> Iterator[str]:
        gateway = self.gateway_network(service)
        for port in service.ports:
            if port.publish is None:
                continue
            if not 1 <= port.publish <= 65535:
                yield (
                    f"{service.name}: the published port of '{port.name}' is {port.publish} with dockfra_port_offset; "
                    "choose an offset that keeps it between 1 and 65535."
                )
            if gateway is None:
                yield (
                    f"{service.name}: port '{port.name}' is published, but every network of the service is internal; "
                    "remove `publish` or add an outward network."
                )
            elif gateway not in port.networks:
                yield (
                    f"{service.name}: port '{port.name}' is published through {gateway}, where it does not listen; "
                    f"mark one of {', '.join(port.networks)} as `gateway` in dockfra_network_options."
                )

    def _clashes(self) -> Iterator[str]:
        keys: dict[str, str] = {}
        for service in self.services.values():
            key = service.client_key
            if key and key in keys:
                yield (
                    f"{service.name} and {keys[key]} both have '{key}' as dockfra_ssh_client_key; "
                    "give each a key of its own."
                )
            keys[key] = service.name
        published: dict[tuple[str, int], str] = {}
        for service in self.containers():
            for port in service.ports:
                if port.publish is None:
                    continue
                place = (service.docker_host, port.publish)
                if place in published:
                    yield (
                        f"{service.name} and {published[place]} both publish port {port.publish} on "
                        f"{service.docker_host}; change `publish` in dockfra_ports of one of them."
                    )
                published[place] = service.name


def _is_subnet(value: Any) -> bool:
    try:
        return value is None or bool(ipaddress.IPv4Network(value))
    except ValueError:
        return False


# The options of a network in the inventory, each with what tells its good values.
_NETWORK_OPTIONS: dict[str, Callable[[Any], bool]] = {
    "internal": lambda value: isinstance(value, bool),
    "gateway": lambda value: isinstance(value, bool),
    "subnet": _is_subnet,
}


def _protocol(port: str) -> str:
    """What a port speaks, by its name: the protocol, or that and a word for what it is for (``http-dashboard``)."""
    spoken = port.partition("-")[0]
    return spoken if spoken in ("http", "https", "ssh", "postgres", "redis") else "tcp"


def ssh_ports(service: Service) -> list[Port]:
    """The ports of a service that speak SSH."""
    return [port for port in service.ports if port.name == "ssh"]


def _service_problems(service: Service) -> Iterator[str]:
    if service.uid < _LOWEST_UID:
        yield f"{service.name}: dockfra_uid is {service.uid}; choose {_LOWEST_UID} or more."
    if service.external_address and not service.variables.get("dockfra_host_key"):
        yield (
            f"{service.name}: has dockfra_address but no dockfra_host_key, and host keys are pinned; "
            f"set it to what `ssh-keyscan -t ed25519 {service.external_address}` prints after the address, once you "
            "have checked that."
        )
    host_key = str(service.variables.get("dockfra_host_key") or "")
    if host_key and not _HOST_KEY.fullmatch(host_key):
        yield (
            f"{service.name}: dockfra_host_key is '{host_key}', which is no public key; "
            "it begins with the key's type, such as ssh-ed25519, and the key follows."
        )
    if not service.networks:
        yield f"{service.name}: dockfra_networks is empty; name at least one network."


def _port_problems(service: Service) -> Iterator[str]:
    names = [port.name for port in service.ports]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{service.name}: dockfra_ports has two entries named '{name}'; give each a name of its own."
    for port in service.ports:
        if not 1 <= port.number <= 65535:
            yield f"{service.name}: port '{port.name}' is {port.number}; choose one between 1 and 65535."
        for network in port.networks:
            if network not in service.networks:
                yield (
                    f"{service.name}: port '{port.name}' listens on {network}, which is not among its "
                    f"dockfra_networks ({', '.join(service.networks)})."
                )


def _route_problems(service: Service) -> Iterator[str]:
    names = {port.name for port in service.ports}
    for route in service.variables.get("dockfra_routes") or ():
        port = route.get("port") or "http"
        if port not in names:
            yield (
                f"{service.name}: the route {route.get('path')} leads to the port '{port}', "
                f"but dockfra_ports has {', '.join(sorted(names)) or 'none'}."
            )


def _login_problems(service: Service, keys: set[str]) -> Iterator[str]:
    wanted = [
        *service.logins,
        *(service.variables.get("dockfra_ssh_tunnels") or ()),
    ]
    for key in wanted:
        if key not in keys:
            yield (
                f"{service.name}: admits the key '{key}', but no service has it as dockfra_ssh_client_key; "
                f"known keys are {', '.join(sorted(filter(None, keys)))}."
            )
