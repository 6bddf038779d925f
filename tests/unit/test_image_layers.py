# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""In which order images stand on each other, what changes often above what takes long to make; and that nothing is missing in them."""

from __future__ import annotations

import ast
import glob
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.dockfra.core.plugins.plugin_utils.controller.role_files import RoleFinder

ROOT = Path(__file__).resolve().parents[2]
GATE = "dockfra.core.gate"
FINDER = RoleFinder(DataLoader(), ROOT)


def names(role: str) -> list[str]:
    return [entry.name for entry in FINDER.chain(role)]


WITH_COMMANDS = sorted(path.name for path in (ROOT / "roles").iterdir() if GATE in names(path.name))


@pytest.mark.parametrize("service", WITH_COMMANDS)
def test_a_changed_command_installs_no_package_again(service: str) -> None:
    above = FINDER.chain(service)[: names(service).index(GATE) + 1]
    for role in above:
        if role.image_context:
            text = (role.image_context / "Dockerfile").read_text()
            assert not re.search(r"apt-get|pip\b|venv --|COPY requirements", text), role.name


@pytest.mark.parametrize("service", ["ssh_manager", "ssh_autopilot", "ssh_monitor", "ssh_developer"])
def test_a_role_that_people_hold_has_the_libraries(service: str) -> None:
    assert "dockfra.core.libraries" in names(service)


@pytest.mark.parametrize("service", ["git", "ssh_frontend", "ssh_backend", "ssh_rpi3"])
def test_who_only_passes_on_has_none(service: str) -> None:
    assert GATE in names(service)
    assert "dockfra.core.libraries" not in names(service)


LIBRARY = ROOT / "collections/ansible_collections/dockfra/core/plugins"


def modules_of(name: str) -> set[Path]:
    """The library's modules that the image of a role has."""
    role = FINDER.role(name)
    patterns = [role.path / pattern for pattern in role.defaults[f"{role.short_name}_image_files"].values()]
    found = {Path(name).resolve() for pattern in patterns for name in glob.glob(str(pattern))}
    return {module for path in found for module in ([path] if path.is_file() else path.rglob("*.py"))}


def imported(module: Path) -> Iterator[Path]:
    """The library's modules that a module of it imports, wherever in its text."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        package = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        names = [package / f"{alias.name}.py" for alias in node.names]
        yield from (path for path in [*names, package.with_suffix(".py")] if path.is_file())
        yield from (package / name.stem / "__init__.py" for name in names if name.with_suffix("").is_dir())


def test_the_image_has_every_module_that_its_own_import() -> None:
    there = modules_of(GATE)
    assert len(there) > 100
    missing = {
        f"{path.relative_to(LIBRARY)}, which {module.relative_to(LIBRARY)} imports"
        for module in there
        for path in imported(module)
        if path not in there
    }
    assert missing == set()


def test_the_builder_has_all_that_its_modules_need() -> None:
    there, seen = modules_of("dockfra.core.builder"), set()
    waiting = [module for module in there if module.parent.name == "builder"]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += [path for path in imported(module) if path not in seen]
    assert seen <= there
