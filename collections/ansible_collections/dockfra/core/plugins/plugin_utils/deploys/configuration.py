# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be deployed from this container, and where all of it is: its role has written it from the topology."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ...module_utils.errors import CommandError, UsageError
from ...module_utils.text import shown

CONFIGURATION = Path("/etc/dockfra/monitor/deploys.json")
ALL = "all"

# Seconds for the longest deploy, and for what is put back after it.
TIME_LIMIT = 5400.0

# By whom or what the monitor's own programs ask, in the record beside the role.
BY = "DOCKFRA_DEPLOY_BY"


class Deployable(NamedTuple):
    """A service that has releases.

    Attributes:
        service: its name.
        target: the deploy that they belong to.
        path: the service's directory in the origin's repository.
        bastion: the service that keeps them.
        host: where the service itself answers; empty where it cannot be reached from here.
        port: of that.
        health: the path that answers when it works.
        tree: git's name for the directory that its image was made of; empty where nobody knows.
    """

    service: str
    target: str
    path: str
    bastion: str
    host: str
    port: int
    health: str
    tree: str


class Device(NamedTuple):
    """A device that gets releases.

    Attributes:
        device: its name.
        service: whose releases it gets.
        bastion: the service that keeps them, and has the key for the device.
        share: how many devices of that bastion change at a time, as a playbook's ``serial`` takes it.
    """

    device: str
    service: str
    bastion: str
    share: str


class Configuration(NamedTuple):
    """What can be deployed.

    Attributes:
        origin: the repository, as git calls it.
        playbooks: the directory of the playbooks.
        services: those that have releases, by name.
        devices: those that follow them.
    """

    origin: str
    playbooks: str
    services: Mapping[str, Deployable]
    devices: tuple[Device, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None) -> Configuration:
        """Read what the container's role has written; raises CommandError."""
        path = path or CONFIGURATION
        try:
            data = json.loads(path.read_bytes())
            services = {entry["service"]: Deployable(**entry) for entry in data["services"]}
            devices = tuple(Device(**entry) for entry in data.get("devices", ()))
            return cls(str(data["origin"]), str(data["playbooks"]), services, devices)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{path} cannot be read ({error}); run site.yml again") from error

    def targets(self) -> list[str]:
        """Return the names of all targets."""
        return sorted({entry.target for entry in self.services.values()})

    def devices_of(self, entries: Iterable[Deployable]) -> list[Device]:
        """Return the devices that follow some services."""
        names = {entry.service for entry in entries}
        return [device for device in self.devices if device.service in names]

    def of(self, target: str) -> list[Deployable]:
        """Return the services of a target, or of all of them; raises UsageError where there is no such target."""
        found = [entry for entry in self.services.values() if target in (entry.target, ALL)]
        if not found:
            known = ", ".join([ALL, *self.targets()])
            raise UsageError(f"there is no target {shown(target)} on this platform; there are {known}")
        return found
