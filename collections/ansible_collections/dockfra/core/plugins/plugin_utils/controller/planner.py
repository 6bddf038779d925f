# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare the desired state with what a Docker host has, and say what is to be done and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...module_utils.containers import options, owner
from ...module_utils.errors import ReleaseDamagedError, TopologyError
from ...module_utils.files import tree as file_tree
from ...module_utils.releases import links, record
from ...module_utils.topology import upgrades
from .desired import Desired, Platform
from .images import Image

_HEALTHY = {"running", "healthy"}
# In which a container has something to lose.
_SERVES = {*_HEALTHY, "starting"}


@dataclass
class ServicePlan:
    """What one service needs.

    Attributes:
        action: ``none``, ``create``, ``recreate`` (settings differ), ``start`` (right, but not running or not healthy) or
            ``wait`` (right, but its health check has not passed yet).
        reasons: why, one short phrase each.
        build: images this service has to build, the parents first.
        chain: where its own image is missing, all images that is made of, the parents first and itself last.
        container: arguments of ``community.docker.docker_container``.
        role: the role that applies the service.
        levels: how many levels of images the run builds on this Docker host, the same for all its services.
        only_secrets: whether nothing differs but files with secrets that the service takes up while it runs.
        alone: whether it is worked on alone, because it serves and the platform is upgraded one service after the other.
        turn: its place among all services of the platform where that is so.
        needs: the services of the platform without which it cannot work.
        before: settings that differ, as they are.
        after: the same settings, as they should be.
    """

    name: str
    action: str
    reasons: list[str]
    build: list[dict[str, Any]]
    container: dict[str, Any]
    role: str = ""
    levels: int = 0
    chain: list[dict[str, Any]] = field(default_factory=list)
    only_secrets: bool = False
    alone: bool = False
    turn: int = 0
    needs: list[str] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@dataclass
class HostPlan:
    """What one Docker host needs.

    Attributes:
        docker_host: its inventory name.
        engine_error: why the engine does not answer, else empty.
        networks: networks to make or make anew, with their settings.
        volumes: volumes to make.
        services: services that need something.
        total: how many services belong on the host.
        orphans: containers of the platform that the inventory no longer has.
        foreign: containers that have a service's name but are not the platform's.
        work: whether anything is to be done on the host.
        needs_base_image: whether an image is to be built directly on the base image.
        releases: services that serve a release which is not made of the source of their image, each with its commit.
        owner: the checkout to write down as the platform's owner, where that is not done yet.
        link_account: the account through which links come, where that is to be made or changed.
    """

    docker_host: str
    engine_error: str = ""
    networks: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    services: list[ServicePlan] = field(default_factory=list)
    total: int = 0
    orphans: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    work: bool = False
    needs_base_image: bool = False
    releases: list[dict[str, str]] = field(default_factory=list)
    owner: dict[str, str] = field(default_factory=dict)
    link_account: dict[str, str] = field(default_factory=dict)

    def as_result(self) -> dict[str, Any]:
        """Return the plan as plain data for a task result."""
        return asdict(self)


def query(platform: Platform, desired: Mapping[str, Desired], docker_host: str) -> dict[str, Any]:
    """Return the options of ``dockfra.core.docker_state_info`` that read what the plan compares."""
    topology, account = platform.topology, platform.link_account(docker_host)
    names = [entry.container["name"] for entry in desired.values()]
    names += platform.networks(docker_host)
    names += [
        topology.volume_name(volume.name)
        for entry in desired.values()
        for volume in topology.volumes(entry.service.name)
    ]
    images = {image.reference for entry in desired.values() for image in entry.images}
    images |= {entry.container["image"] for entry in desired.values()}
    return {
        "project": topology.project,
        "names": names,
        "images": sorted(images),
        "ports": [
            place.rpartition(":")[0]
            for entry in desired.values()
            for place in entry.container["published_ports"]
        ],
        "owner_file": f"{platform.settings['dockfra_data_root']}/{topology.project}/{owner.FILE}",
        "sockets": sorted({path for entry in desired.values() for path in entry.service.docker_sockets}),
        "records": {
            entry.container["name"]: f"{links.ROOT}/{entry.service.name}/{links.CURRENT}/{record.NAME}"
            for entry in desired.values()
            if entry.service.release
        },
        "directories": {
            **{entry.directory: str(entry.service.uid) for entry in desired.values()},
            **({account["home"]: "0", account["sshd_directory"]: "0"} if account else {}),
        },
    }


def compare(
    platform: Platform,
    desired: Mapping[str, Desired],
    docker_host: str,
    state: Mapping[str, Any],
    limited: bool = False,
    force: bool = False,
    checkout: Mapping[str, str] | None = None,
) -> HostPlan:
    """Return what the Docker host needs so that the desired services are there.

    Args:
        platform: the desired state of the whole platform.
        desired: the services to look at, all on this Docker host.
        docker_host: its inventory name.
        state: result of ``dockfra.core.docker_state_info`` for `query`.
        limited: only some services are looked at, so a container of another service is no orphan.
        force: every service is to be applied, so that each setting is verified by its module.
        checkout: who plans, in the terms of `owner`; without it the platform is anybody's.

    Raises:
        TopologyError: the platform belongs to another checkout, a port is taken, a container of somebody else has a
            service's name, or is on a network that is to be made anew.
    """
    plan = HostPlan(docker_host=docker_host, engine_error=state.get("engine_error") or "", total=len(desired))
    if plan.engine_error:
        state = {**state, "containers": {}, "networks": {}, "volumes": [], "images": {}}
    wanted_networks = platform.networks(docker_host)
    if checkout and not plan.engine_error:
        plan.owner = _owner(platform, docker_host, state, checkout)
    plan.link_account = _link_account(platform, docker_host, state)
    for name, settings in wanted_networks.items():
        if _network_differs(settings, state["networks"].get(name)):
            plan.networks.append({"name": name, **settings, "exists": name in state["networks"]})
    remade = {network["name"] for network in plan.networks if network["exists"]}
    plan.volumes = sorted(
        {
            platform.topology.volume_name(volume.name)
            for entry in desired.values()
            for volume in platform.topology.volumes(entry.service.name)
        }
        - set(state["volumes"])
    )
    for entry in desired.values():
        service = _compare_service(entry, state, remade)
        service.role = platform.role_name(entry.service.name)
        if force and service.action in ("none", "wait"):
            service.action, service.reasons = "verify", ["full verification asked for"]
        if service.action != "none":
            plan.services.append(service)
    if plan.services and platform.settings["dockfra_upgrade"] == "serial":
        _take_turns(platform, desired, plan, state, remade)
    plan.foreign = sorted(
        entry.container["name"]
        for entry in desired.values()
        if not state["containers"].get(entry.container["name"], {"ours": True})["ours"]
    )
    plan.releases = _other_releases(platform, desired, state.get("records") or {})
    if not limited:
        known = {entry.container["name"] for entry in desired.values()}
        plan.orphans = sorted(set(state["containers"]) - known)
    _share_builds(plan.services)
    problems = [
        *_taken_ports(desired, state),
        *_roots_sockets(desired, docker_host, state),
        *_foreign(plan),
        *_others_on(plan.networks, state),
    ]
    if problems:
        raise TopologyError(problems)
    to_apply = [service for service in plan.services if service.action != "wait"]
    plan.work = bool(
        plan.networks or plan.volumes or to_apply or plan.orphans or plan.owner or plan.link_account
    )
    plan.needs_base_image = any(image["level"] == 0 for service in plan.services for image in service.build)
    return plan


def check_settled(plan: HostPlan) -> None:
    """Raise TopologyError naming everything that is not as declared on the Docker host."""
    problems = [f"{plan.docker_host}: {plan.engine_error}"] if plan.engine_error else []
    problems += [
        f"{service.name} is not as declared: {', '.join(service.reasons)}."
        if service.action != "wait"
        else f"{service.name} is still starting; its health check has not passed yet."
        for service in plan.services
    ]
    problems += [f"The network {network['name']} is not as declared." for network in plan.networks]
    if plan.link_account:
        problems.append(f"The account {plan.link_account['user']} on {plan.docker_host} is not as declared.")
    problems += [f"The container {name} is not in the inventory." for name in plan.orphans]
    if problems:
        raise TopologyError(problems)


def _link_account(platform: Platform, docker_host: str, state: Mapping[str, Any]) -> dict[str, str]:
    """The account through which links come, where it is not as it should be."""
    account = platform.link_account(docker_host)
    if not account:
        return {}
    for directory, name, text in (
        (account["home"], ".ssh/authorized_keys", account["authorized_keys"]),
        (account["sshd_directory"], f"{account['user']}.conf", account["sshd_config"]),
    ):
        files = {name: file_tree.WantedFile(text.encode(), 0o644)}
        changes = file_tree.compare(files, state["files"].get(directory) or {})
        # What else lies there is nobody's harm: the directories are root's.
        if changes.created or changes.updated:
            return account
    return {}


def _other_releases(
    platform: Platform, desired: Mapping[str, Desired], records: Mapping[str, str]
) -> list[dict[str, str]]:
    """The services whose release is made of another source than their image."""
    found = []
    for entry in desired.values():
        try:
            release = record.Record.from_json(records[entry.container["name"]].encode())
        except (KeyError, ReleaseDamagedError):  # of a damaged one the service and its bastion speak
            continue
        if not release.tree or release.tree != platform.tree(entry.service.name):
            found.append({"service": entry.service.name, "commit": release.commit})
    return found


def _compare_service(entry: Desired, state: Mapping[str, Any], remade: set[str]) -> ServicePlan:
    spec = _admitted(entry, state)
    found = state["containers"].get(spec["name"])
    image = state["images"].get(spec["image"])
    build = _to_build(entry.images, state["images"])
    wanted = options.wanted(spec, image)
    first_level = len(entry.images) - len(build)
    tasks = [_as_task(missing, first_level + number) for number, missing in enumerate(build)]
    plan = ServicePlan(entry.service.name, "none", [], tasks, options.arguments(spec))
    plan.chain = [_as_task(made, number) for number, made in enumerate(entry.images if build else ())]
    if not found:
        plan.action, plan.reasons = "create", ["no container"]
        plan.after = {**wanted, "image": spec["image"], "files": sorted(entry.files)}
        return plan
    different = options.differences(wanted, found["options"])
    if image is None:
        # What the image brings with it is not known yet; that it is another one says enough.
        different = {
            key: pair for key, pair in different.items() if key not in ("env", "command", "entrypoint")
        }
    plan.before = {key: observed for key, (_wanted, observed) in different.items()}
    plan.after = {key: wanted_value for key, (wanted_value, _observed) in different.items()}
    changes = file_tree.compare(entry.files, state["files"].get(entry.directory) or {})
    if build:
        plan.reasons.append(f"image {build[-1].repository} to build")
    plan.reasons += [
        f"{key} differs" for key in different if key != "labels" and not (build and key == "image")
    ]
    plan.reasons += [f"{path} {what}" for what, paths in asdict(changes).items() for path in paths]
    if "labels" in different and not plan.reasons:
        plan.reasons.append("declared settings changed")
    plan.reasons += [f"network {name} made anew" for name in found["options"]["networks"] if name in remade]
    if plan.reasons:
        plan.action = "recreate"
        # With the label, everything else would differ.
        plan.only_secrets = (
            not different
            and len(plan.reasons) == len(changes.paths())
            and set(changes.paths()) <= entry.with_secrets
        )
    elif found["status"] == "starting":
        plan.action, plan.reasons = "wait", ["starting"]
    elif found["status"] not in _HEALTHY:
        plan.action, plan.reasons = "start", [found["status"]]
        plan.before, plan.after = {"status": found["status"]}, {"status": "running"}
    return plan


def _take_turns(
    platform: Platform,
    desired: Mapping[str, Desired],
    plan: HostPlan,
    state: Mapping[str, Any],
    remade: set[str],
) -> None:
    """Say which services are worked on alone, and in which order."""
    needs, turns = upgrades.needed(platform.topology), upgrades.order(platform.topology)
    for service in plan.services:
        found = state["containers"].get(desired[service.name].container["name"])
        service.needs, service.turn = needs[service.name], turns.index(service.name)
        service.alone = bool(
            found
            and service.action in ("recreate", "verify")
            and found["status"] in _SERVES
            # Whoever is on a network that is made anew is cut off by that already.
            and not remade & found["options"]["networks"].keys()
        )


def _admitted(entry: Desired, state: Mapping[str, Any]) -> dict[str, Any]:
    """The container's specification with the group that the Docker socket has on this Docker host; it differs between hosts."""
    known = state.get("socket_groups") or {}
    groups = [str(known[path]) for path in entry.service.docker_sockets if path in known]
    if not groups:
        return entry.container
    return {**entry.container, "groups": list(dict.fromkeys([*entry.service.groups, *groups]))}


def _share_builds(services: Sequence[ServicePlan]) -> None:
    """Leave each image to the first service that needs it."""
    taken: set[str] = set()
    for service in services:
        service.build = [
            image for image in service.build if f"{image['repository']}:{image['tag']}" not in taken
        ]
        taken.update(f"{image['repository']}:{image['tag']}" for image in service.build)
    levels = max((image["level"] + 1 for service in services for image in service.build), default=0)
    for service in services:
        service.levels = levels


def _to_build(images: Iterable[Image], existing: Mapping[str, Any]) -> list[Image]:
    """The images that are missing; parents are needed only when something missing stands on them."""
    missing: list[Image] = []
    needed = True
    for image in reversed(list(images)):
        if needed and image.reference not in existing:
            missing.insert(0, image)
        else:
            needed = False
    return missing


def _as_task(image: Image, level: int) -> dict[str, Any]:
    """An image to build as plain data; ``level`` counts the images it stands on, which are all built before it."""
    return {
        "level": level,
        "repository": image.repository,
        "tag": image.reference.rpartition(":")[2],
        "parent": image.parent,
        "arguments": {"BASE": image.parent, **dict(image.arguments)},
        "sources": [list(source) for source in image.sources],
    }


def _network_differs(wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    if found is None:
        return True
    return (
        wanted["internal"] != found["internal"]
        or wanted["ipv6"] != found["ipv6"]
        or not set(wanted["subnets"]) <= set(found["subnets"])
    )


def _taken_ports(desired: Mapping[str, Desired], state: Mapping[str, Any]) -> Iterable[str]:
    for entry in desired.values():
        for port in entry.service.ports:
            for place, user in (state.get("busy_ports") or {}).items():
                if port.publish is not None and place.rpartition(":")[2] == str(port.publish):
                    yield (
                        f"{entry.service.name}: port {port.publish} of the host is already used by {user}. Stop that, or change "
                        f"`publish` of '{port.name}' in {entry.service.name}'s dockfra_ports (or dockfra_port_offset for all)."
                    )


def _roots_sockets(
    desired: Mapping[str, Desired], docker_host: str, state: Mapping[str, Any]
) -> Iterable[str]:
    """No service gets root's group, which opens more than the socket."""
    known = state.get("socket_groups") or {}
    for entry in desired.values():
        for path in entry.service.docker_sockets:
            if known.get(path) == 0:
                yield (
                    f"{entry.service.name}: {path} on {docker_host} belongs to root's group, which no container gets. "
                    "Give it a group of its own: groupadd --system docker, and restart Docker Engine."
                )


def _owner(
    platform: Platform, docker_host: str, state: Mapping[str, Any], checkout: Mapping[str, str]
) -> dict[str, str]:
    """Return the owner to write down, where another or none is; raises TopologyError when the other one is to stay."""
    recorded = state.get("owner") or {}
    refused = owner.refusal(
        recorded, checkout["id"], platform.topology.project, docker_host, state["containers"]
    )
    if refused and not platform.settings["dockfra_takeover"]:
        raise TopologyError([refused])
    return {} if recorded.get("id") == checkout["id"] else dict(checkout)


def _others_on(networks: Iterable[Mapping[str, Any]], state: Mapping[str, Any]) -> Iterable[str]:
    for network in networks:
        for name in (state["networks"].get(network["name"]) or {}).get("others") or ():
            yield (
                f"The network {network['name']} has to be made anew, but the container {name}, which is not this "
                f"platform's, is on it. Disconnect it (docker network disconnect {network['name']} {name}) and run this again."
            )


def _foreign(plan: HostPlan) -> Iterable[str]:
    for name in plan.foreign:
        yield (
            f"The container {name} on {plan.docker_host} was not made by this platform. "
            "Rename or remove it, or choose another dockfra_project."
        )
