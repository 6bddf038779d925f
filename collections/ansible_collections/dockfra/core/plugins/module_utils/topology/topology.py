# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What follows from the services of an inventory: ports, SSH peers, routes, volumes, links, and whom to ask for health.

All of it is worked out here and nowhere else, so that templates, probes, tests and documentation agree.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..audit import files as audit_files
from ..backups.parts import FILES
from ..releases.links import ROOT as RELEASES
from ..releases.links import STATES
from . import link
from .deploys import Deployable, Fleeted
from .model import Engine, Listener, Login, Reach, ServedRoute, Service, Volume
from .placement import Placement
from .ports import LOOPBACK

# Whoever has this command goes to other roles in person.
PROMPT_COMMAND = "ssh-to"

# What a service says of its releases is short and said anew at each start. The releases themselves can write there too.
_STATE = "size=1m,nr_inodes=64,mode=0755"


class Topology(Placement):
    """All services of one platform, see `Placement`, and what follows for each of them."""

    # The volume with the audit logs of other Docker hosts.
    collected = "audit-elsewhere"

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
        # A tunnel is on networks of others for those who call through it.
        own = self.declared[name].networks if caller.is_tunnel else caller.networks
        found = []
        for listener in self.services.values():
            crossing = self._crossing.get((name, listener.name))
            far = crossing is None and not self._same_host(caller, listener)
            if far and not listener.external_address:
                continue
            crossed = {number for number, _network in crossing.ports} if crossing else set()
            shared = [network for network in own if network in listener.listen_networks]
            for port in listener.ports:
                through = [network for network in shared if network in port.networks]
                if not (port.number in crossed if crossing else through):
                    continue
                # The plain name leads to any network they share; where only some of them will do, it is one of those.
                host = listener.name if crossing or through == shared else listener.host_on(through[0])
                number = port.number
                if listener.external_address and not crossing:
                    host = listener.external_address
                    number = link.outside(listener, port)
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
        health = service.health
        return [
            Reach(name, port.name, port.protocol, port.local_address, port.publish, health.path, health.below)
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
                        # No service has a name with this sign in it.
                        name=service.name if number == 0 else f"{service.name}_{number + 1}",
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
        reached = {port.service for port in self.reachable_ports(name) if port.kind == "ssh"}
        return [peer for peer in self.services.values() if peer.name != name and peer.name in reached]

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
            Login(service.place, service.description, service.user, port.publish, port.is_local)
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

    def audit_collector(self, docker_host: str, other: str) -> Service | None:
        """Who on a Docker host has the audit logs of another one: its tunnel, from the tunnel there, as nobody logs in to either.

        None where nothing leads there, the tunnel there may not read them, or nobody here does.
        """
        tunnel = self.tunnels.get(other)
        if tunnel is None or not tunnel.reads_audit or (docker_host, other) not in self.joined:
            return None
        wanted = any(service.reads_audit and not service.is_tunnel for service in self.on_host(docker_host))
        return self.tunnels.get(docker_host) if wanted else None

    def audit_logs(self, name: str) -> list[str]:
        """The services whose audit log is in the container of service ``name``: itself, for a reader all of its host.

        Of other Docker hosts it has those that somebody here collects.
        """
        service = self.services[name]
        return [
            other.name
            for other in self.audited()
            if other == service
            or (
                service.reads_audit
                and (
                    self._same_host(other, service)
                    or (
                        not service.is_tunnel
                        and self.audit_collector(service.docker_host, other.docker_host) is not None
                    )
                )
            )
        ]

    def collected_logs(self, name: str) -> dict[str, list[str]]:
        """The services of other Docker hosts whose audit logs service ``name`` collects, by the tunnel that has them there."""
        service = self.services[name]
        found: dict[str, list[str]] = {}
        for other in self.audited():
            if self.audit_collector(service.docker_host, other.docker_host) == service:
                found.setdefault(self.tunnels[other.docker_host].name, []).append(other.name)
        return found

    def served_logs(self, name: str) -> list[str]:
        """The services of its Docker host whose audit logs service ``name`` has for tunnels of other ones."""
        service = self.services[name]
        wanted = self.tunnels.get(service.docker_host) == service and any(
            self.audit_collector(docker_host, service.docker_host) for docker_host in self.tunnels
        )
        return [other.name for other in self.audited() if self._same_host(other, service)] if wanted else []

    def volumes(self, name: str) -> list[Volume]:
        """The volumes of service ``name``: its own, those of releases, that of its audit log, and for a reader those of the other logs.

        What belongs to a service of another Docker host is no volume here, see `far_volumes`.
        """
        service = self.services[name]
        far = self.far_volumes(name)
        found = [volume for volume in service.volumes if volume not in far] + self._release_volumes(name)
        logs = [self.services[other] for other in self.audit_logs(name)]
        for other in logs:
            if other.name == name:
                found.append(Volume(f"audit-{other.name}", audit_files.DIRECTORY, backup=FILES))
            elif self._same_host(other, service):
                found.append(
                    Volume(f"audit-{other.name}", f"{audit_files.OTHERS}/{other.name}", read_only=True)
                )
        collects = bool(self.collected_logs(name))
        if collects or any(not self._same_host(other, service) for other in logs):
            found.append(Volume(self.collected, audit_files.ELSEWHERE, read_only=not collects))
        return found

    def far_volumes(self, name: str) -> dict[Volume, str]:
        """The volumes of service ``name`` that a service of another Docker host writes, each with that; it asks there instead."""
        service = self.services[name]
        found = {}
        for volume in service.volumes:
            writers = [
                other
                for other in self.containers()
                for each in other.volumes
                if each.name == volume.name and not each.read_only
            ]
            if volume.read_only and writers and not any(self._same_host(other, service) for other in writers):
                found[volume] = writers[0].name
        return found

    # Links ---------------------------------------------------------------------------------------------------------

    def links(self, name: str) -> list[link.Link]:
        """What service ``name`` keeps open to the tunnels of other Docker hosts."""
        tunnel = self.services[name]
        found = []
        for other in (self.services[each] for each in tunnel.links if each in self.services):
            ways_in = [
                (port.local_address, port.publish) for port in other.ssh_ports if port.publish is not None
            ]
            address, number = ways_in[0] if ways_in else (LOOPBACK, 0)
            sides = {
                docker_host: [
                    forward
                    for each in self.crossings
                    if (each.docker_host, self.services[each.service].docker_host) == (docker_host, far)
                    for forward in link.forward(each, self.declared, self.tunnels[docker_host])
                ]
                + (
                    [link.audit_forward(self.tunnels[far], self.tunnels)]
                    if self.audit_collector(docker_host, far)
                    else []
                )
                for docker_host, far in (
                    (tunnel.docker_host, other.docker_host),
                    (other.docker_host, tunnel.docker_host),
                )
            }
            found.append(
                link.Link(
                    tunnel=other.name,
                    user=other.user,
                    server=self.servers.get(other.docker_host, link.Server(other.docker_host)),
                    address=address,
                    port=number,
                    local=tuple(sides[tunnel.docker_host]),
                    remote=tuple(sides[other.docker_host]),
                )
            )
        return found

    def accepted_links(self, name: str) -> dict[str, link.Link]:
        """The links that come to service ``name``, by the client key that opens them."""
        return {
            tunnel.client_key: each
            for tunnel in self.services.values()
            for each in self.links(tunnel.name)
            if each.tunnel == name
        }


def short_names(services: Iterable[Service]) -> dict[str, str]:
    """Return the services' short names, by name, where no other one of them is called so."""
    found = {service.name: service.short_name for service in services}
    return {name: short for name, short in found.items() if short != name and short not in found}
