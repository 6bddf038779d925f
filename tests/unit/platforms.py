"""The project's own inventory as data, with changes beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform

ROOT = Path(__file__).parents[2]
LOCAL = (ROOT / "inventories/local",)


def load_platform(
    changes: Path, only: list[str] | None = None, keep: bool = False, beside: Sequence[Path] = LOCAL
) -> Platform:
    """Load the local inventory and a file of changes.

    Args:
        changes: an inventory file, which says where the state directory is.
        only: the services that are asked about; all by default.
        keep: whether secrets that are made are kept; without, nothing is made.
        beside: other inventories instead of the local one.
    """
    return platforms_of(changes, keep, beside)(only)


def platforms_of(
    changes: Path, keep: bool = False, beside: Sequence[Path] = LOCAL
) -> Callable[[list[str] | None], Platform]:
    """Read an inventory once, see `load_platform`, and return what makes platforms of it, by the services that are asked about."""
    loader = DataLoader()
    loader.set_basedir(str(ROOT))
    inventory = InventoryManager(loader, sources=[*map(str, beside), str(changes)])
    variables = VariableManager(loader, inventory)
    config = {"ansible_config_file": str(ROOT / "ansible.cfg"), "ansible_check_mode": not keep}
    variables._options_vars = {**variables._options_vars, **config}
    hostvars = HostVars(inventory, variables, loader)
    hosts = [host.name for host in inventory.get_hosts("all")]
    templar = Templar(loader, variables={"hostvars": hostvars, **config})
    return lambda only: Platform(templar, loader, hostvars, hosts, only)
