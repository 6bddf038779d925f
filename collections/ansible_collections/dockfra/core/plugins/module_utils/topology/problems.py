# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything in an inventory that cannot work together, one sentence each.

A sentence begins with the service to change, says what to do, and ends with the file and line of the variable where they are
known. What is wrong by itself is told before what several services say of each other, so that the culprit comes first.
"""

from __future__ import annotations

import difflib
import functools
import graphlib
import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator

from . import between_hosts, forwards, service_problems
from .model import OPERATOR, Service
from .placement import NETWORK_OPTIONS
from .problem import HOW_NAMES_ARE, NAME, Problem, Problems, nearest
from .topology import Topology


def problems(topology: Topology) -> list[str]:
    """Return the contradictions; an empty list when all is well."""
    stages: tuple[tuple[Callable[[Topology], Problems], ...], ...] = (
        (_project, _network_options, _ipv4_range, _each_service, _lone_networks),
        (
            _publishing,
            _uids,
            _keys,
            _published_ports,
            _releases,
            _devices,
            _volume_writers,
            _routes,
            _tunnels,
            forwards.problems,
            _needs,
        ),
        (_policy, between_hosts.links, between_hosts.problems),
        (_gates,),
    )
    for stage in stages:
        # Where something is wrong by itself, what follows from it would seem to contradict it in many places.
        found = [str(problem) for check in stage for problem in check(topology)]
        if found:
            return found
    return []


def _project(topology: Topology) -> Problems:
    if not NAME.fullmatch(topology.project):
        yield Problem(None, "", f"dockfra_project is '{topology.project}'; {HOW_NAMES_ARE}.")


def _needs(topology: Topology) -> Problems:
    services = topology.services
    for service in services.values():
        for name in service.needs:
            if name not in services:
                hint = nearest(name, services)
                yield Problem(
                    service, "dockfra_needs", f"dockfra_needs has '{name}', which is no service.{hint}"
                )
    try:
        graphlib.TopologicalSorter(topology.needs()).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        yield Problem(
            services.get(circle[0]),
            "dockfra_needs",
            f"dockfra_needs runs in a circle: {' → '.join(reversed(circle))}; take one out.",
        )


def _network_options(topology: Topology) -> Problems:
    for name, options in topology.network_options.items():
        if name not in topology.networks:
            yield Problem(
                None,
                "",
                f"dockfra_network_options names the network '{name}', which no service uses; "
                f"the networks are {', '.join(sorted(topology.networks))}.",
            )
        for key, value in dict(options or {}).items():
            if key not in NETWORK_OPTIONS:
                yield Problem(
                    None,
                    "",
                    f"dockfra_network_options: {name} has the unknown option '{key}'; "
                    f"there are {', '.join(NETWORK_OPTIONS)}.",
                )
            elif not NETWORK_OPTIONS[key](value):
                yield Problem(None, "", f"dockfra_network_options: {key} of {name} cannot be '{value}'.")


def _ipv4_range(topology: Topology) -> Problems:
    if not topology.ipv4_range:
        return
    try:
        whole = ipaddress.IPv4Network(topology.ipv4_range)
        enough = (
            whole.is_private
            and whole.prefixlen <= 24
            and 2 ** (24 - whole.prefixlen) >= len(topology.networks)
        )
    except ValueError:
        enough = False
    if not enough:
        yield Problem(
            None,
            "",
            f"dockfra_ipv4_range is '{topology.ipv4_range}'; name a private range with 256 addresses for each of the "
            f"{len(topology.networks)} networks, such as 10.231.0.0/16.",
        )


def _each_service(topology: Topology) -> Problems:
    keys = {service.client_key for service in topology.services.values() if service.client_key}
    for service in topology.services.values():
        yield from service_problems.problems(service, keys)


# What services say of each other ------------------------------------------------------------------------------------


def _culprit(topology: Topology, one: Service, other: Service, variable: str) -> tuple[Service, Service]:
    """Return the two, first the one to change: whose variable stands in a file of fewer services, else the later one."""
    users = Counter(
        file
        for service in topology.services.values()
        for file in {_file(place) for place in service.sources.values()}
    )
    of_one, of_other = (users[_file(service.sources.get(variable, ""))] for service in (one, other))
    return (one, other) if of_one < of_other else (other, one)


def _file(place: str) -> str:
    return place.rpartition(":")[0]


def _lone_networks(topology: Topology) -> Problems:
    """A network of one service connects nothing: most likely its name is misspelt."""
    users = defaultdict(list)
    for service in topology.services.values():
        for network in service.networks:
            users[network].append(service)
    meant = {name for name, services in users.items() if len(services) > 1} | set(topology.network_options)
    for name in users.keys() - meant:
        close = difflib.get_close_matches(name, sorted(meant), n=1, cutoff=0.75)
        if close:
            yield Problem(
                users[name][0],
                "dockfra_networks",
                f"dockfra_networks has '{name}', where it is alone. Did you mean '{close[0]}'? "
                f"If not, give the network an entry in dockfra_network_options, such as {name}: {{}}.",
            )


def _publishing(topology: Topology) -> Problems:
    for service in topology.services.values():
        at = functools.partial(Problem, service, "dockfra_ports")
        gateway = topology.gateway_network(service)
        for port in service.ports:
            if port.publish is None:
                continue
            if gateway is None:
                yield at(
                    f"port '{port.name}' is published, but every network of the service is internal; "
                    "remove `publish` or add an outward network."
                )
            elif gateway not in port.networks:
                yield at(
                    f"port '{port.name}' is published through {gateway}, where it does not listen; "
                    f"mark one of {', '.join(port.networks) or 'its networks'} as `gateway` in dockfra_network_options."
                )


def _disputed(
    topology: Topology, claims: Iterable[tuple[Hashable, Service, str]], variable: str
) -> Iterator[tuple[str, Service, Service]]:
    """What more than one service claims: what it is, the service to change, and the one that has it.

    Args:
        topology: the inventory.
        claims: what is claimed, as it is compared and as it is told, and by whom.
        variable: where it is claimed.
    """
    owners: dict[Hashable, Service] = {}
    for claim, service, told in claims:
        other = owners.setdefault(claim, service)
        if other is not service:
            yield told, *_culprit(topology, other, service, variable)


def _uids(topology: Topology) -> Problems:
    """Services of one uid may read each other's files on the Docker host, so only those share it that say so."""
    claims = ((service.uid, service, str(service.uid)) for service in topology.containers())
    for uid, wrong, right in _disputed(topology, claims, "dockfra_uid"):
        if not (wrong.shares_uid and right.shares_uid):
            yield Problem(
                wrong,
                "dockfra_uid",
                f"dockfra_uid is {uid}, which is that of {right.name}; "
                f"choose another, such as {max(each.uid for each in topology.services.values()) + 1}.",
            )


def _keys(topology: Topology) -> Problems:
    keys = (
        (service.client_key, service, service.client_key)
        for service in topology.services.values()
        if service.client_key
    )
    for service in topology.services.values():
        if service.client_key == OPERATOR:
            yield Problem(
                service,
                "dockfra_ssh_client_key",
                f"dockfra_ssh_client_key is '{OPERATOR}', which is that of the person at the controller; choose another.",
            )
    for key, wrong, right in _disputed(topology, keys, "dockfra_ssh_client_key"):
        yield Problem(
            wrong,
            "dockfra_ssh_client_key",
            f"dockfra_ssh_client_key is '{key}', which is that of {right.name}; give each a key of its own.",
        )


def _published_ports(topology: Topology) -> Problems:
    ports = (
        ((service.docker_host, port.publish), service, f"{port.publish} on {service.docker_host}")
        for service in topology.containers()
        for port in service.ports
        if port.publish is not None
    )
    for port, wrong, right in _disputed(topology, ports, "dockfra_ports"):
        yield Problem(
            wrong,
            "dockfra_ports",
            f"publishes port {port}, as {right.name} does; change `publish` in dockfra_ports of one of them.",
        )


def _releases(topology: Topology) -> Problems:
    """A target has services, and one bastion on their Docker host."""
    wanted = {service.release.target: service for service in topology.services.values() if service.release}
    for target, service in wanted.items():
        at = functools.partial(Problem, service, "dockfra_release")
        if not topology.bastions(target):
            carried = [known for other in topology.services.values() for known in other.release_targets]
            yield at(
                f"dockfra_release has the target '{target}', but no bastion says dockfra_release_targets: [{target}]."
                f"{nearest(target, carried)}"
            )
    # One with a ready-made image has none for now.
    declared = [service.variables.get("dockfra_release") for service in topology.services.values()]
    named = {release["target"] for release in declared if release}
    carriers = (
        (target, service, target)
        for service in topology.services.values()
        for target in service.release_targets
    )
    for target, wrong, right in _disputed(topology, carriers, "dockfra_release_targets"):
        yield Problem(
            wrong,
            "dockfra_release_targets",
            f"carries the deploys of '{target}', as {right.name} does; take it out of one of them.",
        )
    for service in topology.services.values():
        for target in service.release_targets:
            if target not in named:
                yield Problem(
                    service,
                    "dockfra_release_targets",
                    f"carries the deploys of '{target}', but dockfra_release of no service names it.{nearest(target, named)}",
                )


def _devices(topology: Topology) -> Problems:
    """A device gets the releases of a service, from a bastion that can log in to it."""
    services = topology.services
    for device in services.values():
        if not device.runs:
            continue
        at = functools.partial(Problem, device, "dockfra_device")
        source = services.get(device.runs)
        # One with a ready-made image has none for now.
        if source is None or not source.variables.get("dockfra_release"):
            known = [service.name for service in services.values() if service.release]
            yield at(
                f"dockfra_device runs '{device.runs}', which has no dockfra_release; {', '.join(known) or 'nothing'} has one."
                f"{nearest(device.runs, known)}"
            )
            continue
        for bastion in topology.bastions(source.release.target) if source.release else ():
            if not bastion.client_key or bastion.client_key not in device.logins:
                yield at(
                    f"dockfra_device runs '{device.runs}', whose releases {bastion.name} keeps, and that cannot log in; add its "
                    "dockfra_ssh_client_key to dockfra_ssh_logins here."
                )
            if device not in topology.ssh_peers(bastion.name):
                yield at(
                    f"dockfra_device runs '{device.runs}', whose releases {bastion.name} keeps, and that reaches no SSH port here; put "
                    "both on a network in dockfra_networks."
                )


def _volume_writers(topology: Topology) -> Problems:
    """A volume has one writer; others may only read it."""
    volumes = (
        ((service.docker_host, volume.name), service, volume.name)
        for service in topology.containers()
        for volume in topology.volumes(service.name)
        if not volume.read_only
    )
    for volume, wrong, right in _disputed(topology, volumes, "dockfra_volumes"):
        yield Problem(
            wrong,
            "dockfra_volumes",
            f"writes to the volume '{volume}', as {right.name} does; "
            "say read_only: true for the one that only reads, or give each a volume of its own.",
        )


def _routes(topology: Topology) -> Problems:
    routed = [(service, route) for service in topology.services.values() for route in service.routes]
    claims = (((route.path.rstrip("/"), route.priority), service, route.path) for service, route in routed)
    for path, wrong, right in _disputed(topology, claims, "dockfra_routes"):
        yield Problem(
            wrong,
            "dockfra_routes",
            f"has the route {path}, as {right.name} has; "
            "change its `path`, or give the two a different `priority`.",
        )
    proxies = topology.reverse_proxies()
    for service in topology.services.values():
        if service.routes and not proxies:
            yield Problem(
                service,
                "dockfra_routes",
                "has routes, but no service offers them (dockfra_reverse_proxy: true).",
            )
    for proxy in proxies:
        served = {(route.service, route.path) for route in topology.served_routes(proxy.name)}
        for service, route in routed:
            if (service.name, route.path) not in served:
                yield Problem(
                    service,
                    "dockfra_networks",
                    f"the route {route.path} cannot be served, because {proxy.name} shares no network on which the "
                    f"port '{route.port}' listens; add one of {', '.join(proxy.networks)} to dockfra_networks.",
                )


def _tunnels(topology: Topology) -> Problems:
    for service in topology.services.values():
        at = functools.partial(Problem, service, "dockfra_ssh_tunnels")
        for key, target in service.tunnels.items():
            host, _colon, number = target.rpartition(":")
            if not host or not number.isdecimal() or not 1 <= int(number) <= 65535:
                yield at(
                    f"dockfra_ssh_tunnels leads '{key}' to '{target}'; name one of its ports, or write it like localhost:5900."
                )
                continue
            there = service if host in ("localhost", "127.0.0.1") else topology.services.get(host)
            if there is None:
                if "." not in host:  # else an address elsewhere
                    yield at(
                        f"dockfra_ssh_tunnels leads '{key}' to '{target}', but there is no service '{host}'."
                        f"{nearest(host, topology.services)}"
                    )
            elif not there.external_address and int(number) not in {port.number for port in there.ports}:
                ports = ", ".join(f"{port.number} ({port.name})" for port in there.ports)
                yield at(
                    f"dockfra_ssh_tunnels leads '{key}' to '{target}', where nothing listens; "
                    f"dockfra_ports of {there.name} has {ports or 'none'}."
                )


# What the policy and the Docker hosts add ---------------------------------------------------------------------------


def _policy(topology: Topology) -> Problems:
    for text in topology.policy.problems(topology.places(), topology.roles()):
        yield Problem(None, "", text)


def _gates(topology: Topology) -> Problems:
    for service in topology.services.values():
        for caller in topology.gate_callers(service.name):
            # A bastion is both: who goes there in person deploys there too.
            if caller in service.logins and not service.release_targets:
                yield Problem(
                    service,
                    "dockfra_ssh_logins",
                    f"dockfra_commands admits the key '{caller}' to the gate, and "
                    "dockfra_ssh_logins gives it a shell; take it out of one of them.",
                )
            if service not in topology.ssh_peers(topology.places()[caller]):
                yield Problem(
                    service,
                    "dockfra_networks",
                    f"dockfra_commands admits the {caller}, whose container shares no network "
                    f"on which {service.name} listens for SSH; add one to dockfra_networks.",
                )
