# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring together what each Docker host gets of a backup; see the documentation of the module of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.backups import routes, snapshots
from ..module_utils.backups.parts import CONTROLLER, Manifest, Source, total
from ..module_utils.errors import BackupError, DockfraError
from ..module_utils.topology import backups
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed


class ActionModule(ActionBase):
    """Works on the controller only."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, options = self.validate_argument_spec(
            argument_spec={"folder": {"type": "path", "required": True}}
        )
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            platform.check()
            return {**result, **self._routed(platform, options["folder"])}
        except DockfraError as error:
            return failed(result, error)
        except OSError as error:
            return failed(result, BackupError(f"The snapshot in {options['folder']} cannot be used: {error}"))

    def _routed(self, platform: Platform, folder: str) -> dict[str, Any]:
        topology = platform.topology
        hosts = {host: backups.sources(topology, host) for host in backups.docker_hosts(topology)}
        remade = {host: backups.remade(topology, host) for host in hosts}
        found = snapshots.manifests(folder, topology.project)
        without = platform.settings["dockfra_restore_without"]
        chosen = routes.ways(found, hosts, without)
        if self._task.check_mode:
            sizes = {host: total(way.part for way in chosen if way.target == host) for host in hosts}
        else:
            made = routes.regroup(folder, found, hosts, chosen)
            sizes = {host: made[host].size for host in hosts}
        return {
            "changed": False,
            "moved": set(hosts) != set(found) - {CONTROLLER},
            "notes": list(notes(found, hosts, remade, chosen)),
            "targets": [
                {
                    "docker_host": host,
                    "size": sizes[host],
                    "volumes": [asdict(source) for source in hosts[host]],
                    "remade": remade[host],
                }
                for host in hosts
            ],
        }


def notes(
    found: Mapping[str, Manifest],
    hosts: Mapping[str, Sequence[Source]],
    remade: Mapping[str, Sequence[str]],
    chosen: Sequence[routes.Way],
) -> Iterator[str]:
    """Yield what a person should know: what goes elsewhere, is left out, stays, or begins anew."""
    ways = sorted({(way.place, way.target) for way in chosen if way.place != way.target})
    for place, target in ways:
        names = [way.part.name for way in chosen if (way.place, way.target) == (place, target)]
        yield f"From {place} to {target}: {', '.join(names)}."
    gone = {(way.place, way.part.name) for way in chosen}
    left = [
        part.name
        for place, manifest in found.items()
        if place != CONTROLLER
        for part in manifest.parts
        if (place, part.name) not in gone
    ]
    if left:
        yield f"Left in the snapshot, as dockfra_restore_without says: {', '.join(left)}."
    for host, sources in hosts.items():
        brought = {way.part.volume for way in chosen if way.target == host}
        if stays := [source.volume for source in sources if source.volume not in brought]:
            yield f"The backup has nothing of {', '.join(stays)} of {host}, which stays as it is."
        if remade[host]:
            yield f"Begun anew on {host}, from what is restored elsewhere: {', '.join(remade[host])}."
