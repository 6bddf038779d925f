# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the Docker Engine what a platform has on a host."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..errors import EngineError
from .client import Client, NotFoundError
from .labels import LABEL_PROJECT, attached, is_of
from .options import image_defaults, observed, status

# Stands for "a container of this platform" where users of a port are named.
OWN = "this platform"

# Bytes that are read of a file of a container.
_MAX_RECORD = 16 * 1024

_POLL_SECONDS = 0.5
_GIVE_UP_RESTARTS = 3


def connect(timeout: int = 60) -> Client:
    """Return a client of the engine that the environment names (``DOCKER_HOST``, else the local socket).

    Raises:
        EngineError: nothing answers there.
    """
    try:
        client = Client(os.environ, timeout)
        client.read("/_ping")
    except EngineError as error:
        raise EngineError(f"The Docker Engine does not answer: {error}") from error
    return client


def read_state(
    client: Client,
    project: str,
    names: Sequence[str] = (),
    images: Sequence[str] = (),
    records: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return containers, networks, volumes and images of a platform, and the ports others publish.

    Args:
        client: an API client.
        project: containers, networks and volumes with this project label are read.
        names: containers, networks and volumes that are read whether or not they carry the label.
        images: image references to look up.
        records: files of the platform's containers that are read, by the container's name.

    Raises:
        EngineError: the engine refuses a request.
    """
    try:
        listed = client.get("/containers/json", all="1")
        ours = [entry for entry in listed if _is_ours(entry, project, names)]
        containers = _containers(client, ours, project)
        on_networks = attached(entry for entry in listed if not is_of(entry, project))
        return {
            "engine_version": client.get("/version")["Version"],
            "containers": containers,
            "networks": {
                entry["Name"]: _network(entry, on_networks.get(entry["Name"]) or [])
                for entry in client.get("/networks")
                if _is_ours(entry, project, names)
            },
            "volumes": sorted(
                entry["Name"]
                for entry in client.get("/volumes")["Volumes"] or ()
                if _is_ours(entry, project, names)
            ),
            "images": _images(client, images),
            "records": {
                name: text
                for name, path in records.items()
                if name in containers
                and containers[name]["ours"]
                and (text := _record(client, name, path)) is not None
            },
            "published": {
                **_published(listed),
                **dict.fromkeys([*_published(ours), *_held(containers)], OWN),
            },
        }
    except EngineError as error:
        raise EngineError(f"The Docker Engine refuses to answer: {error}") from error


def _held(containers: Mapping[str, Any]) -> list[str]:
    """Host ports that containers of the platform hold; while one restarts, Docker lists none for it."""
    return [
        place.split(":")[-2]
        for entry in containers.values()
        if entry["ours"] and entry["status"] not in ("created", "exited", "dead")
        for place in entry["options"]["published_ports"]
    ]


def _is_ours(entry: Mapping[str, Any], project: str, names: Sequence[str]) -> bool:
    own_names = entry.get("Names") or [entry.get("Name", "")]
    return is_of(entry, project) or any(name.lstrip("/") in names for name in own_names)


def _containers(client: Client, entries: Sequence[Mapping[str, Any]], project: str) -> dict[str, Any]:
    found = {}
    for entry in entries:
        try:
            details = client.get(f"/containers/{entry['Id']}/json")
        except NotFoundError:
            continue  # removed since it was listed
        found[details["Name"].lstrip("/")] = {
            "id": details["Id"],
            "status": status(details),
            "ours": (details["Config"].get("Labels") or {}).get(LABEL_PROJECT) == project,
            "options": observed(details),
        }
    return found


def _record(client: Client, container: str, path: str) -> str | None:
    """What a short file of a container says; None where there is none, or the engine does not give it: no run waits for that."""
    try:
        content = client.file(container, path, _MAX_RECORD)
    except EngineError:
        return None
    return None if content is None else content.decode(errors="replace")


def _network(entry: Mapping[str, Any], others: Sequence[str]) -> dict[str, Any]:
    configuration = (entry.get("IPAM") or {}).get("Config") or []
    return {
        "id": entry["Id"],
        "internal": bool(entry.get("Internal")),
        "ipv6": bool(entry.get("EnableIPv6")),
        "subnets": [pool["Subnet"] for pool in configuration],
        "ours": bool((entry.get("Labels") or {}).get(LABEL_PROJECT)),
        "others": list(others),
    }


def _images(client: Client, references: Sequence[str]) -> dict[str, Any]:
    found = {}
    for reference in references:
        try:
            found[reference] = image_defaults(client.get(f"/images/{reference}/json"))
        except NotFoundError:
            continue
    return found


def _published(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(port["PublicPort"]): f"container {entry['Names'][0].lstrip('/')}"
        for entry in entries
        for port in entry.get("Ports") or ()
        if port.get("PublicPort")
    }


def wait_ready(client: Client, name: str, service: str, timeout: float, log_lines: int) -> None:
    """Wait until a container is healthy, or running when it has no health check.

    Args:
        client: an API client.
        name: the container.
        service: how messages call it.
        timeout: seconds to wait.
        log_lines: how much of the log a message shows.

    Raises:
        EngineError: the container is gone, keeps ending or is not healthy in time; the message says why.
    """
    deadline = time.monotonic() + timeout
    restarts: int | None = None
    while True:
        try:
            details = client.get(f"/containers/{name}/json")
        except NotFoundError:
            raise EngineError(f"{service}: the container {name} is gone. Run the playbook again.") from None
        except EngineError as refusal:
            raise EngineError(f"{service}: the Docker Engine refuses to answer: {refusal}") from refusal
        state = status(details)
        if state in ("running", "healthy"):
            return
        if _has_no_health_check(details):
            raise EngineError(
                f"{service} cannot become healthy: its image lacks the program of its health check (dockfra_health). "
                f"{_why(client, details, log_lines)}"
            )
        restarts = details["RestartCount"] if restarts is None else restarts
        if details["RestartCount"] - restarts >= _GIVE_UP_RESTARTS:
            raise EngineError(f"{service} ends again and again. {_why(client, details, log_lines)}")
        if time.monotonic() >= deadline:
            raise EngineError(
                f"{service} is not ready after {timeout:.0f} s. {_why(client, details, log_lines)}"
            )
        time.sleep(_POLL_SECONDS)


def _has_no_health_check(details: Mapping[str, Any]) -> bool:
    """Whether a health check could not even be started, which no time mends."""
    check = ((details["State"].get("Health") or {}).get("Log") or [{}])[-1]
    # Of a shell, or of the engine where there is none.
    return check.get("ExitCode") in (126, 127) or "executable file not found" in str(check.get("Output"))


def _why(client: Client, details: Mapping[str, Any], lines: int) -> str:
    """Status, last health output and the end of the log, for a message."""
    name = details["Name"].lstrip("/")
    checks = (details["State"].get("Health") or {}).get("Log") or [{}]
    health = str(checks[-1].get("Output", "")).strip()
    try:
        log = client.log(name, lines).strip()
    except EngineError as error:
        log = f"(cannot be read: {error})"
    parts = [
        f"Its container {name} is {status(details)}.",
        f"Its health check says: {health}." if health else "",
        f"Its log ends:\n{log}" if log else "Its log is empty.",
    ]
    return " ".join(part for part in parts if part)
