# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a playbook was started with: the variables given with -e, and whether an inventory was named."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import is_trusted_as_template
from ansible.vars.plugins import get_vars_from_inventory_sources

from .role_files import RoleFinder

_TEMPLATE_MARKS = ("{{", "{%", "{#")


def unknown(
    given: Collection[str], taken: Collection[str], settings: Collection[str], playbook: str
) -> list[str]:
    """Return a sentence for each variable that means nothing to a playbook.

    Args:
        given: names of the variables given with -e.
        taken: those the playbook takes.
        settings: those of the platform, its roles and the inventory.
        playbook: its name.
    """
    known = {*taken, *settings}
    problems = []
    for name in sorted(set(given) - known):
        if name.startswith("ansible_"):
            continue  # Ansible's own, for connections and the like
        close = difflib.get_close_matches(name, [*taken, *sorted(settings)], n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"it takes {_listed(taken)}."
        problems.append(f"{playbook} does not know the variable '{name}'; {hint}")
    return problems


def templates_in(given: Mapping[str, Any], texts: Collection[str]) -> list[str]:
    """Return a sentence for each text of a person that Ansible would run as a template.

    Args:
        given: the variables given with -e.
        texts: names of those that hold such text, in whatever structure.
    """
    return [
        f"The text in '{name}' holds a template ({mark} …), which would be run on this machine. Give it in a YAML file "
        f"with -e @FILE, written `{name}: !unsafe '…'`."
        for name in sorted(set(given) & set(texts))
        if (mark := next(_marks(given[name]), ""))
    ]


def inventory_named(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command line or an environment of ansible-playbook names an inventory."""
    return bool(environment.get("ANSIBLE_INVENTORY")) or any(
        word.startswith(("-i", "--inv")) for word in words
    )


def inventory_variables(inventory: InventoryManager, loader: DataLoader) -> set[str]:
    """Return the names of all variables that an inventory gives anybody, in its files and in those beside it."""
    entities = [*inventory.groups.values(), *inventory.hosts.values()]
    names = {name for entity in entities for name in entity.get_vars()}
    return names | set(get_vars_from_inventory_sources(loader, inventory._sources, entities, "all"))


def role_variables(loader: DataLoader, project_root: str) -> set[str]:
    """Return the names of all variables that a role of the project or of this collection declares."""
    finder = RoleFinder(loader, project_root)
    names = [path.name for path in Path(project_root, "roles").glob("*/")]
    names += [f"dockfra.core.{path.name}" for path in Path(__file__).parents[3].glob("roles/*/")]
    return {option for name in names for option in finder.role(name).options}


def _marks(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if is_trusted_as_template(value):
            yield from (mark for mark in _TEMPLATE_MARKS if mark in value)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _marks(key)
            yield from _marks(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _marks(entry)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "the platform's settings (docs/variables.md)"
