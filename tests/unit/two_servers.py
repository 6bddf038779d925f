"""The project's platform on two servers, as data: management on the one, the application on the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform
from tests.unit.platforms import ROOT, load_platform

MANAGEMENT, APP = "management-server", "app-server"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt app"
SERVERS: dict[str, dict[str, Any]] = {
    MANAGEMENT: {"ansible_host": "192.0.2.10", "ansible_user": "admin"},
    APP: {
        "ansible_host": "192.0.2.20",
        "ansible_user": "admin",
        "ansible_port": 2022,
        "dockfra_server_host_key": HOST_KEY,
    },
}


def inventory(folder: Path, changes: dict[str, dict[str, Any]] | None = None, **variables: Any) -> Path:
    """Make an inventory of two servers.

    Args:
        folder: where; its state lies beside it.
        changes: variables of services and servers, by name.
        variables: of all.
    """
    made = folder / "two-servers"
    made.mkdir(parents=True)
    for number, name in enumerate(("topology", "policy", "servers")):
        (made / f"{number:02}-{name}.yml").symlink_to(ROOT / "inventories" / f"{name}.yml")
    hosts: dict[str, dict[str, Any]] = {"docker_hosts": {"hosts": SERVERS}, "all": {"hosts": changes or {}}}
    hosts["all"]["vars"] = {"dockfra_state_dir": str(folder / "state"), **variables}
    (made / "hosts.yml").write_text(json.dumps(hosts))
    return made


def platform(
    folder: Path, changes: dict[str, dict[str, Any]] | None = None, *, keep: bool = False, **variables: Any
) -> Platform:
    """Load such an inventory, see `inventory`; ``keep``: whether secrets that are made are kept."""
    return load_platform(inventory(folder, changes, **variables), keep=keep, beside=[])
