#!/usr/bin/env python3
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Fill in an inventory: takes the values that init.sh was given, asks for the others on a terminal, and says what is left."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ansible.inventory.helpers import get_group_vars
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[1]
init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, UsageError  # noqa: E402
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import (  # noqa: E402
    arguments,
    filling,
    placeholders,
)


class Skeleton:
    """An inventory to fill in.

    Args:
        folder: its directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        loader = DataLoader()
        loader.set_basedir(str(ROOT))
        inventory = InventoryManager(loader, sources=[str(folder)])
        own = {name for entity in inventory.groups.values() for name in entity.vars}
        self.hosts = sorted(inventory.hosts)
        self.variables = own | arguments.role_variables(loader, str(ROOT))
        # What stands in files beside it may be encrypted, and nobody has to type a password to be asked for a name.
        self.left = placeholders.find(
            inventory,
            lambda name: {**get_group_vars(inventory.hosts[name].get_groups()), **inventory.hosts[name].vars},
        )

    def value(self, name: str, text: str) -> filling.Value:
        return filling.value(name, text, self.hosts, self.variables)


def asked(skeleton: Skeleton, given: set[str]) -> list[filling.Value]:
    """Ask for what is left, until there is an answer that can be one; an empty one leaves it."""
    values = []
    for entry in skeleton.left:
        if entry.name in given:
            continue
        while text := input(f"{entry.name}: {entry.wanted}\n> ").strip():
            try:
                values.append(skeleton.value(entry.name, text))
                break
            except UsageError as error:
                print(error)
    return values


def main() -> int:
    parser = argparse.ArgumentParser(prog="init.sh")
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="given")
    words = parser.parse_args()
    skeleton = Skeleton(words.inventory)
    values = []
    for word in words.given:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--set takes a name and a value, like --set {name or 'dockfra_domain'}=VALUE.")
        values.append(skeleton.value(name, text))
    if sys.stdin.isatty():
        values += asked(skeleton, {word.partition("=")[0] for word in words.given})
    if filling.keep(words.inventory, values):
        print(f"{os.path.relpath(words.inventory / filling.FILE)} has what was filled in.", file=sys.stderr)
    left = placeholders.problems(Skeleton(words.inventory).left, words.inventory.name)
    for line in left:
        print(line, file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DockfraError as error:
        print(f"init.sh: error: {error}", file=sys.stderr)
        sys.exit(2)
    except (EOFError, KeyboardInterrupt):
        print("\ninit.sh: error: stopped; nothing was filled in", file=sys.stderr)
        sys.exit(130)
