# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong in one service's entry of the inventory, whatever the others say."""

from __future__ import annotations

import functools
import ipaddress
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

from ..text import shown
from .model import OPERATOR, Service
from .problem import HOW_NAMES_ARE, NAME, Problem, Problems, nearest

T = TypeVar("T")

# A service's name is a host name, part of an image's name and of a DNS name.
_SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")

# The system's own users are below. Root inside a container is never needed here.
_LOWEST_UID = 1000
# The most that Docker takes.
_HIGHEST_UID = 2**31 - 1

# A user's name becomes a line of passwd(5) and an argument of ssh.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)

# A port's name becomes part of a variable's.
_PORT = re.compile(r"[a-z]([a-z0-9_-]{0,40}[a-z0-9])?", re.ASCII)

# Type, key in base64, and perhaps a comment, as in sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
_HOST_KEY = re.compile(r"(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]{40,}={0,2}( .*)?")

# A target becomes an argument of a deploy, and the path that of a directory in git.
_TARGET = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", re.ASCII)
_SOURCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}){0,9}", re.ASCII)
_EVERY_TARGET = "all"
_SHARE = re.compile(r"[1-9]\d{0,4}|([1-9]\d?|100)%", re.ASCII)

# Whoever may write here has the host. The sockets of engines are let in where the inventory says so.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin",
    "/sys", "/usr", "/var/lib/containerd", "/var/lib/docker", "/var/lib/dpkg", "/var/lib/systemd", "/var/spool/cron",
)  # fmt: skip


def problems(service: Service, keys: Collection[str]) -> Problems:
    """Yield what is wrong in a service's entry; ``keys`` are the SSH client keys of all services."""
    yield from _service(service)
    yield from _health(service)
    yield from _ports(service)
    yield from _addresses(service)
    yield from _routes(service)
    yield from _release(service)
    yield from _device_share(service)
    yield from _mounts(service)
    yield from _binds(service)
    yield from _logins(service, keys)


def _service(service: Service) -> Problems:
    at = functools.partial(Problem, service)
    if not _SERVICE.fullmatch(service.name):
        yield at(
            "dockfra_networks",
            "a service's name has lower-case letters, digits and '-', at most 42 of them, and begins and ends with a letter "
            "or digit, because it becomes a host name; rename the host in the inventory.",
        )
    if service.uid < _LOWEST_UID:
        yield at("dockfra_uid", f"dockfra_uid is {service.uid}; choose {_LOWEST_UID} or more.")
    if service.uid > _HIGHEST_UID:
        yield at("dockfra_uid", f"dockfra_uid is {service.uid}; choose {_HIGHEST_UID} or less.")
    if service.user and not _USER.fullmatch(service.user):
        yield at(
            "dockfra_user",
            f"dockfra_user is {shown(service.user)}, no name of a user; it has lower-case letters, digits, '-' and '_', at most "
            "32 of them, and begins with a letter.",
        )
    if service.external_address and not service.variables.get("dockfra_host_key"):
        yield at(
            "dockfra_address",
            "has dockfra_address but no dockfra_host_key, and host keys are pinned; "
            f"set it to what `ssh-keyscan -t ed25519 {service.external_address}` prints after the address, once you "
            "have checked that.",
        )
    host_key = str(service.variables.get("dockfra_host_key") or "")
    if host_key and not _HOST_KEY.fullmatch(host_key):
        yield at(
            "dockfra_host_key",
            f"dockfra_host_key is '{host_key}', which is no public key; "
            "it begins with the key's type, such as ssh-ed25519, and the key follows.",
        )
    if not service.networks:
        yield at("dockfra_networks", "dockfra_networks is empty; name at least one network.")
    for network in _repeated(service.networks):
        yield at("dockfra_networks", f"dockfra_networks has '{network}' twice; once is enough.")
    for network in service.networks:
        if not NAME.fullmatch(network):
            yield at(
                "dockfra_networks",
                f"dockfra_networks has '{network}', no name of a network; {HOW_NAMES_ARE}.",
            )


def _health(service: Service) -> Problems:
    for path in (service.health.path, *service.health.pages):
        if not _is_url_path(path):
            yield Problem(
                service,
                "dockfra_health",
                f"dockfra_health names the path '{path}'; it begins with '/', without blanks.",
            )


def _repeated(values: Sequence[T]) -> list[T]:
    """Those of some values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def _is_url_path(path: str) -> bool:
    return path.startswith("/") and path.isascii() and path.isprintable() and not set(path) & set(' `"\\')


def _ports(service: Service) -> Problems:
    at = functools.partial(Problem, service, "dockfra_ports")
    for name in (port.name for port in service.ports):
        if not _PORT.fullmatch(name):
            yield at(
                f"dockfra_ports has {shown(name)}, no name of a port; it has lower-case letters, digits, '-' and '_', and "
                "begins with a letter."
            )
    # Variables have no '-' in their names.
    for name in _repeated([port.name.replace("_", "-") for port in service.ports]):
        yield at(f"dockfra_ports has two entries named '{name}'; give each a name of its own.")
    for number in _repeated([port.publish for port in service.ports if port.publish is not None]):
        yield at(f"publishes port {number} twice; change `publish` of one of them.")
    taken: dict[tuple[int, str], str] = {}
    for port in service.ports:
        if not 1 <= port.number <= 65535:
            yield at(f"port '{port.name}' is {port.number}; choose one between 1 and 65535.")
        if port.publish is not None and not 1 <= port.publish <= 65535:
            yield at(
                f"the published port of '{port.name}' is {port.publish} with dockfra_port_offset; "
                "choose an offset that keeps it between 1 and 65535."
            )
        for network in port.networks:
            if network not in service.networks:
                yield at(
                    f"port '{port.name}' listens on {network}, which is not among its "
                    f"dockfra_networks ({', '.join(service.networks)}).{nearest(network, service.networks)}"
                )
        for place in port.networks or ("loopback",):
            other = taken.setdefault((port.number, place), port.name)
            if other != port.name:
                yield at(
                    f"the ports '{other}' and '{port.name}' are both {port.number} on {place}; "
                    "change `port` of one of them."
                )


def _addresses(service: Service) -> Problems:
    """Where the published ports are bound: one address for all of them, and others by a port's name."""
    at = functools.partial(Problem, service, "dockfra_publish_addresses")
    published = [port.name for port in service.published]
    declared = dict(service.variables.get("dockfra_publish_addresses") or {})
    for name, address in declared.items():
        if name not in published:
            yield at(
                f"dockfra_publish_addresses has '{name}', which is no published port; "
                f"dockfra_ports publishes {', '.join(published) or 'none'}.{nearest(str(name), published)}"
            )
        elif not _is_address(address):
            yield at(f"dockfra_publish_addresses binds '{name}' to '{address}', {_NO_ADDRESS}.")
    usual = service.variables.get("dockfra_publish_address")
    if usual and not _is_address(usual):
        yield Problem(
            service, "dockfra_publish_address", f"dockfra_publish_address is '{usual}', {_NO_ADDRESS}."
        )


_NO_ADDRESS = (
    "which is no address; write one of the Docker host's own, such as 192.0.2.7, or 0.0.0.0 for all of them"
)


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True


def _routes(service: Service) -> Problems:
    at = functools.partial(Problem, service, "dockfra_routes")
    names = {port.name for port in service.ports}
    for route in service.routes:
        if not _is_url_path(route.path):
            yield at(f"dockfra_routes has the path '{route.path}'; it begins with '/', without blanks.")
        if route.port not in names:
            yield at(
                f"the route {route.path} leads to the port '{route.port}', "
                f"but dockfra_ports has {', '.join(sorted(names)) or 'none'}.{nearest(route.port, names)}"
            )


def _device_share(service: Service) -> Problems:
    share = service.device_share
    if not _SHARE.fullmatch(share):
        yield Problem(
            service,
            "dockfra_device_share",
            f"dockfra_device_share is '{share}'; it is a number of devices from 1 on, or a share of them from 1% to 100%.",
        )


def _release(service: Service) -> Problems:
    release = service.release
    named = [("dockfra_release_targets", target) for target in service.release_targets]
    named += [("dockfra_release", release.target)] if release else []
    for variable, target in named:
        if not _TARGET.fullmatch(target) or target == _EVERY_TARGET:
            yield Problem(
                service,
                variable,
                f"{variable} has the target '{target}'; a target has lower-case letters, digits and '-', "
                f"and '{_EVERY_TARGET}' stands for every one.",
            )
    if service.release_targets and service.external_address:
        yield Problem(
            service,
            "dockfra_release_targets",
            "has dockfra_release_targets and is a real device; releases are kept in a container.",
        )
    if release is None:
        return
    at = functools.partial(Problem, service, "dockfra_release")
    if not _SOURCE.fullmatch(release.path):
        yield at(
            f"dockfra_release has the path '{release.path}'; write it like backend, from the repository's root."
        )
    if service.external_address:
        yield at("has releases and is a real device; remove dockfra_release.")


def _mounts(service: Service) -> Problems:
    places: dict[str, str] = {}
    mounts = [("dockfra_volumes", volume.name, volume.path) for volume in service.volumes]
    mounts += [("dockfra_binds", bind.source, bind.path) for bind in service.binds]
    for variable, name, path in mounts:
        if not _is_plain_path(path) or path == "/":
            yield Problem(
                service,
                variable,
                f"{variable} puts {name} at '{path}'; write an absolute path, like /srv/data.",
            )
        if path in places:
            yield Problem(
                service,
                variable,
                f"{variable} puts {name} at {path}, where {places[path]} is already; give each its own.",
            )
        places.setdefault(path, name)
    for volume in service.volumes:
        if not NAME.fullmatch(volume.name):
            yield Problem(
                service,
                "dockfra_volumes",
                f"dockfra_volumes has '{volume.name}', no name of a volume; {HOW_NAMES_ARE}. "
                "Directories of the Docker host are dockfra_binds.",
            )


def _is_plain_path(path: str) -> bool:
    """Whether a path is absolute and says the shortest way where it leads; POSIX keeps two slashes at the beginning."""
    return path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path


def _binds(service: Service) -> Problems:
    at = functools.partial(Problem, service, "dockfra_binds")
    for bind in service.binds:
        source = bind.resolved
        if not _is_plain_path(bind.source):
            yield at(f"dockfra_binds has the source '{bind.source}'; write an absolute path without '..'.")
        elif bind.is_engine:
            if not service.variables.get("dockfra_docker_socket"):
                yield at(
                    f"dockfra_binds gives it {bind.source}, and with that the whole Docker host; "
                    "a service that is to have it says dockfra_docker_socket: true."
                )
        elif source in ("/", "/var", "/var/lib") or _is_below(source, _SYSTEM):
            yield at(
                f"dockfra_binds gives it {bind.source}, part of the Docker host's own system; "
                "put what it needs into a directory of its own, such as below /srv."
            )
    for group in service.groups:
        if group in ("0", "root"):
            yield Problem(service, "dockfra_groups", "dockfra_groups has root's group; choose another.")


def _is_below(path: str, places: Collection[str]) -> bool:
    return any(f"{path}/".startswith(f"{place}/") for place in places)


def _logins(service: Service, keys: Collection[str]) -> Problems:
    admitted = [("dockfra_ssh_logins", key) for key in service.logins]
    admitted += [("dockfra_ssh_tunnels", key) for key in service.tunnels]
    admitted += [("dockfra_ssh_forwards", key) for key in service.forwards]
    for variable, key in admitted:
        if key not in keys and key != OPERATOR:
            yield Problem(
                service,
                variable,
                f"admits the key '{key}', but no service has it as dockfra_ssh_client_key; "
                f"known keys are {', '.join(sorted(keys))}.{nearest(key, keys)}",
            )
