# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ways through an SSH server that the inventory declares: which key may open a connection to which port behind it, and to no other."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .model import EVERY_DEVICE, OPERATOR, Reach, Service
from .problem import Problem, Problems, nearest

if TYPE_CHECKING:
    from .topology import Topology


@dataclass(frozen=True)
class Way:
    """An SSH server that the operator's key leads to through another one, whose port is published.

    Attributes:
        name: the service behind.
        user: as whom one logs in there.
        host: the name or address by which the server in between finds it.
        port: its number there.
        host_key: its public host key line; empty for that of the platform.
        through: the server in between.
    """

    name: str
    user: str
    host: str
    port: int
    host_key: str
    through: str


def place(host: str, port: int) -> str:
    """Return a host and a port as sshd compares them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def forwards(topology: Topology, name: str) -> dict[str, list[Reach]]:
    """Return the ports that each key may reach through service ``name``, in the order of the inventory."""
    service = topology.services[name]
    reach = {(port.service, port.name): port for port in topology.reachable_ports(name)}
    found = {}
    for key in service.forwards:
        wanted = [reach[each] for each in _targets(topology, service, key) if each in reach]
        found[key] = list(dict.fromkeys(wanted))
    return found


def permitted(topology: Topology, name: str) -> dict[str, list[str]]:
    """Return what each key that opens connections through service ``name`` may open them to: ``host:port``, as sshd compares it."""
    found = {key: [target] for key, target in topology.services[name].tunnels.items()}
    for key, ports in forwards(topology, name).items():
        found[key] = found.get(key, []) + [place(port.host, port.port) for port in ports]
    return {key: places for key, places in found.items() if places}


def operator_ways(topology: Topology) -> list[Way]:
    """Return the SSH servers that the person at the controller gets to through others, each once."""
    found: dict[str, Way] = {}
    for through in topology.containers():
        for port in forwards(topology, through.name).get(OPERATOR, ()):
            service = topology.services[port.service]
            if port.kind == "ssh":
                user = str(service.variables.get("dockfra_ssh_user") or service.user)
                host_key = str(service.variables.get("dockfra_host_key") or "")
                way = Way(service.name, user, port.host, port.port, host_key, through.name)
                found.setdefault(service.name, way)
    return list(found.values())


def _targets(topology: Topology, service: Service, key: str) -> list[tuple[str, str]]:
    """What a key is led to: each a service and the name of its port."""
    found = []
    for target in service.forwards[key]:
        if target == EVERY_DEVICE:
            found += [
                (device.name, port.name)
                for device in topology.devices_through(service.name)
                for port in device.ssh_ports
            ]
        else:
            there, _colon, port = target.partition(":")
            found.append((there, port))
    return found


# What is wrong with them --------------------------------------------------------------------------------------------


def problems(topology: Topology) -> Problems:
    """Yield what is wrong with the declared forwards."""
    for service in topology.services.values():
        at = functools.partial(Problem, service, "dockfra_ssh_forwards")
        if service.forwards and not service.ssh_ports:
            yield at("has dockfra_ssh_forwards, but no port that speaks SSH; add one to dockfra_ports.")
            continue
        for key in service.forwards:
            # Of two lines for one key sshd takes the first, and a key that may do something else is no key for this alone.
            if key in service.logins or key in service.tunnels or key in topology.gate_callers(service.name):
                yield at(
                    f"dockfra_ssh_forwards names the key '{key}', which opens something else here (a login, a tunnel or the gate); "
                    "name another key, or take it out there."
                )
            if key == OPERATOR and not any(port.publish for port in service.ssh_ports):
                yield at(
                    f"dockfra_ssh_forwards names the key '{OPERATOR}', which comes from the controller, and no SSH port here is published; "
                    "add `publish` in dockfra_ports."
                )
            for target in service.forwards[key]:
                yield from _target_problems(topology, service, key, target)


def _target_problems(topology: Topology, service: Service, key: str, target: str) -> Problems:
    at = functools.partial(Problem, service, "dockfra_ssh_forwards")
    if target == EVERY_DEVICE:
        return
    leads = f"dockfra_ssh_forwards leads '{key}' to '{target}'"
    name, colon, wanted = target.partition(":")
    there = topology.services.get(name)
    if not colon or not wanted:
        yield at(
            f"{leads}; write a service and the name of its port, like rpi3:ssh, or {EVERY_DEVICE} for the SSH port of each device "
            "that gets its releases from here."
        )
    elif there is None:
        yield at(f"{leads}, but there is no service '{name}'.{nearest(name, topology.services)}")
    elif wanted not in [port.name for port in there.ports]:
        names = [port.name for port in there.ports]
        yield at(
            f"{leads}, where nothing listens; dockfra_ports of {name} has {', '.join(names) or 'none'}.{nearest(wanted, names)}"
        )
    elif (name, wanted) not in {(port.service, port.name) for port in topology.reachable_ports(service.name)}:
        networks = ", ".join(there.port(wanted).networks) or "none but a tunnel of its own"
        yield at(
            f"{leads}, and {service.name} shares no network on which that listens ({networks}); "
            "add one to dockfra_networks, or take it out."
        )
