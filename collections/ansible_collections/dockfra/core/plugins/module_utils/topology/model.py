# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the inventory says of each service, as typed data: ports, volumes, routes, health.

The input is the validated host variables of the inventory; see the argument specification of the role
``dockfra.core.service`` for their meaning. What follows from all of them together is in `topology`, and what contradicts
itself in `problems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ports import Port, declared_ports

# The SSH client key of the person at the controller, which lives in no container.
OPERATOR = "operator"
# Among the places that a key is led to: the SSH port of each device.
EVERY_DEVICE = "devices"

# The short name of a service leaves this out.
_SSH_PREFIX = "ssh-"

# Where engines have their sockets, and the one of them that Docker's own API is behind.
_DOCKER = "/run/docker.sock"
_ENGINES = (_DOCKER, "/run/containerd")

# How a working web server may answer where nothing else is declared: anything but an error of its own.
_ANY_PAGE = 500
# And how a declared page has to be answered.
_GOOD_PAGE = 400


@dataclass(frozen=True)
class Volume:
    """A named volume and where a service sees it.

    Attributes:
        memory: options of tmpfs(5), where it is in memory; empty for one on the disk.
        backup: what a backup takes of it, see `backups.parts`; empty for nothing.
    """

    name: str
    path: str
    read_only: bool = False
    memory: str = ""
    backup: str = ""


@dataclass(frozen=True)
class Bind:
    """A file or directory of the Docker host and where a service sees it."""

    source: str
    path: str
    read_only: bool = True

    @property
    def resolved(self) -> str:
        """The source, with the link of every system from /var/run to /run followed."""
        return self.source.removeprefix("/var") if f"{self.source}/".startswith("/var/run/") else self.source

    @property
    def is_engine(self) -> bool:
        """Whether it is the socket of an engine, or holds one: who has it has the Docker host."""
        return any(f"{self.resolved}/".startswith(f"{place}/") for place in _ENGINES)


@dataclass(frozen=True)
class Release:
    """What the releases of a service are.

    Attributes:
        target: the deploy that they belong to.
        path: the service's directory in the origin's repository.
    """

    target: str
    path: str


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
class Route:
    """A path under which the reverse proxy offers a service.

    Attributes:
        path: what the paths begin with.
        port: name of the port that serves it.
        strip: whether the service gets the paths without that.
        priority: order among overlapping paths.
    """

    path: str
    port: str
    strip: bool
    priority: int


@dataclass(frozen=True)
class Health:
    """When a service is healthy. Everybody who asks for a service's health asks this.

    Attributes:
        command: what exits 0 inside the container; empty for no check there.
        path: what its HTTP ports are asked for.
        below: the lowest HTTP status that means that it does not work. A demand for a login always counts as working.
        pages: further paths that show that it does its work.
    """

    command: tuple[str, ...]
    path: str = "/"
    below: int = _ANY_PAGE
    pages: tuple[str, ...] = ()

    @classmethod
    def from_variable(cls, value: Mapping[str, Any] | Sequence[str]) -> Health:
        """Build it from ``dockfra_health``; a list stands for its ``command``."""
        entry = dict(value) if isinstance(value, Mapping) else {"command": value}
        command = entry.get("command")
        path = str(entry.get("path") or "")
        return cls(
            command=tuple(map(str, ("/usr/local/bin/healthcheck",) if command is None else command)),
            path=path or "/",
            below=_GOOD_PAGE if path else _ANY_PAGE,
            pages=tuple(map(str, entry.get("pages") or ())),
        )


@dataclass(frozen=True)
class Service:
    """One service of the inventory.

    ``variables`` holds all its validated host variables, ``sources`` where they are written (``file:line``), if known.
    """

    name: str
    docker_host: str
    user: str
    uid: int
    networks: tuple[str, ...]
    ports: tuple[Port, ...]
    volumes: tuple[Volume, ...]
    binds: tuple[Bind, ...] = ()
    routes: tuple[Route, ...] = ()
    health: Health = Health(())
    release: Release | None = None
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def port(self, name: str) -> Port:
        """Return the port called ``name``; raises KeyError when there is none."""
        for port in self.ports:
            if port.name == name:
                return port
        raise KeyError(name)

    @property
    def ssh_ports(self) -> list[Port]:
        """The ports that speak SSH."""
        return [port for port in self.ports if port.protocol == "ssh"]

    @property
    def listen_networks(self) -> tuple[str, ...]:
        """The networks on which at least one port listens, in the order of the inventory."""
        listening = {network for port in self.ports for network in port.networks}
        return tuple(network for network in self.networks if network in listening)

    def host_on(self, network: str) -> str:
        """The name that resolves, inside the container too, to its own address on a network it listens on."""
        return f"{self.name}.{network}"

    @property
    def short_name(self) -> str:
        """What people may call it where nothing else has that name."""
        return self.name.removeprefix(_SSH_PREFIX)

    @property
    def client_key(self) -> str:
        """Name of the SSH client key that lives in the container, or an empty string."""
        return str(self.variables.get("dockfra_ssh_client_key") or "")

    @property
    def logins(self) -> list[str]:
        """Names of the client keys that get a shell."""
        return list(self.variables.get("dockfra_ssh_logins") or ())

    @property
    def tunnels(self) -> dict[str, str]:
        """Names of the client keys that may only forward to one ``host:port``, with that."""
        declared = dict(self.variables.get("dockfra_ssh_tunnels") or {})
        own = {port.name: f"localhost:{port.number}" for port in self.ports}
        return {str(key): own.get(str(target), str(target)) for key, target in declared.items()}

    @property
    def forwards(self) -> dict[str, list[str]]:
        """Names of the client keys that may only open connections to ports of others from here, with these as they are written."""
        declared = dict(self.variables.get("dockfra_ssh_forwards") or {})
        return {
            str(key): [str(target) for target in ([targets] if isinstance(targets, str) else targets or ())]
            for key, targets in declared.items()
        }

    @property
    def place(self) -> str:
        """What the policy calls the container: the name of its client key, or its own when it has none."""
        return self.client_key or self.name

    @property
    def external_address(self) -> str:
        """Where the service runs when it is not a container of ours (a real device), else an empty string."""
        return str(self.variables.get("dockfra_address") or "")

    @property
    def links(self) -> list[str]:
        """The tunnels of other Docker hosts to which it keeps a link open."""
        return [str(name) for name in self.variables.get("dockfra_links") or ()]

    @property
    def is_tunnel(self) -> bool:
        """Whether edges between Docker hosts go through it."""
        return self.variables.get("dockfra_links") is not None

    @property
    def is_reverse_proxy(self) -> bool:
        """Whether it offers the routes of all services."""
        return bool(self.variables.get("dockfra_reverse_proxy"))

    @property
    def reads_audit(self) -> bool:
        """Whether it may read the audit logs of all services."""
        return bool(self.variables.get("dockfra_reads_audit"))

    @property
    def needs(self) -> list[str]:
        """The services without which it cannot work."""
        return [str(name) for name in self.variables.get("dockfra_needs") or ()]

    @property
    def release_targets(self) -> list[str]:
        """The targets whose deploys go through it: of these it is the bastion."""
        return [str(target) for target in self.variables.get("dockfra_release_targets") or ()]

    @property
    def runs(self) -> str:
        """The service whose releases it gets as a device; empty where it is none."""
        return str((self.variables.get("dockfra_device") or {}).get("runs") or "")

    @property
    def device_share(self) -> str:
        """How many of the devices behind it change at a time, a number or a share like ``25%``."""
        return str(self.variables.get("dockfra_device_share", 1))

    @property
    def shares_uid(self) -> bool:
        """Whether other services have its uid on purpose."""
        return bool(self.variables.get("dockfra_shared_uid"))

    @property
    def groups(self) -> list[str]:
        """Supplementary groups of its user, numeric ids of the Docker host or names inside the container."""
        return [str(group) for group in self.variables.get("dockfra_groups") or ()]

    @property
    def docker_sockets(self) -> list[str]:
        """The Docker socket as it sees it, by its path on the Docker host. Its user needs the group that the socket has there."""
        return [bind.source for bind in self.binds if bind.resolved == _DOCKER]

    @property
    def published(self) -> list[Port]:
        """The ports that its Docker host has for it."""
        return [port for port in self.ports if port.publish is not None]

    @property
    def is_local_only(self) -> bool:
        """Whether its published ports answer on the Docker host itself and nowhere else, as they do unless it says otherwise."""
        return all(port.is_local for port in self.published)

    @property
    def description(self) -> str:
        """What it is for, in a few words."""
        return str(self.variables.get("dockfra_description") or "")

    @property
    def stack(self) -> str:
        """The heading under which people find it, or an empty string."""
        return str(self.variables.get("dockfra_stack") or "")

    @classmethod
    def from_variables(
        cls, name: str, variables: Mapping[str, Any], sources: Mapping[str, str] | None = None
    ) -> Service:
        """Build a service from validated host variables (see the role ``dockfra.core.service``)."""
        networks = tuple(str(network) for network in variables.get("dockfra_networks") or ())
        volumes = tuple(
            Volume(
                str(entry["name"]),
                str(entry["path"]),
                bool(entry.get("read_only")),
                backup=str(entry.get("backup") or ""),
            )
            for entry in variables.get("dockfra_volumes") or ()
        )
        binds = tuple(
            Bind(str(entry["source"]), str(entry["path"]), entry.get("read_only") is not False)
            for entry in variables.get("dockfra_binds") or ()
        )
        # What somebody else has made brings no supervisor.
        release = None if variables.get("dockfra_image") else variables.get("dockfra_release")
        return cls(
            name=name,
            docker_host=str(variables.get("dockfra_docker_host") or "localhost"),
            user=str(variables.get("dockfra_user") or ""),
            uid=int(variables.get("dockfra_uid") or 0),
            networks=networks,
            ports=declared_ports(variables, networks),
            volumes=volumes,
            binds=binds,
            routes=tuple(_route(entry) for entry in variables.get("dockfra_routes") or ()),
            health=Health.from_variable(variables.get("dockfra_health", ())),
            release=Release(str(release["target"]), str(release["path"])) if release else None,
            variables=variables,
            sources=sources or {},
        )


def _route(entry: Mapping[str, Any]) -> Route:
    path, priority = str(entry["path"]), entry.get("priority")
    return Route(
        path=path,
        port=str(entry.get("port") or "http"),
        strip=bool(entry.get("strip")),
        # The longer path wins, unless something else is said.
        priority=len(path) if priority is None else int(priority),
    )


@dataclass(frozen=True)
class Edge:
    """``caller`` can open a connection to ``port`` of ``listener`` over ``network``."""

    caller: str
    listener: str
    port: int
    network: str


@dataclass(frozen=True)
class Listener:
    """A place where a service listens: a port on one of its networks.

    Attributes:
        name: the port's name.
        protocol: what it speaks there, one of `PROTOCOLS` or ``tcp``.
        host: the name of its own address there.
        port: its number.
    """

    name: str
    protocol: str
    host: str
    port: int


@dataclass(frozen=True)
class Login:
    """A person's way into the container of a role.

    Attributes:
        role: whose container it is.
        description: what the role is for.
        user: as whom a person logs in.
        port: the SSH port on the Docker host.
        local_only: whether that port answers on the Docker host itself and nowhere else.
    """

    role: str
    description: str
    user: str
    port: int
    local_only: bool


@dataclass(frozen=True)
class Reach:
    """A port of a service, as a caller finds it, and how to ask there whether the service is healthy.

    Attributes:
        service: whose port it is.
        name: the port's name.
        kind: the protocol behind the name, one of `PROTOCOLS` or ``tcp``.
        host: the name or address that leads there.
        port: its number there.
        path: what to ask for over HTTP, see `Health`.
        below: the lowest HTTP status that means that it does not work.
    """

    service: str
    name: str
    kind: str
    host: str
    port: int
    path: str = "/"
    below: int = _ANY_PAGE


@dataclass(frozen=True)
class Engine:
    """A way to a Docker Engine, through a service that has its socket and listens for HTTP.

    Attributes:
        docker_host: the Docker host's inventory name.
        gateway: the service in between.
        host: the name that leads to it.
        port: its port.
        containers: the platform's containers there, by service.
    """

    docker_host: str
    gateway: str
    host: str
    port: int
    containers: Mapping[str, str]


@dataclass(frozen=True)
class ServedRoute:
    """A route as the reverse proxy serves it.

    Attributes:
        name: unique among all routes.
        service: whose route it is.
        host, port: where the proxy finds it.
        path, strip, priority: see `Route`.
        health: what the service is asked for where its health is in question, see `Health`.
        below: the lowest HTTP status that means that it does not work.
        pages: further paths of it.
    """

    name: str
    service: str
    host: str
    port: int
    path: str
    strip: bool
    priority: int
    health: str
    below: int
    pages: tuple[str, ...]
