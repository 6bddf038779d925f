# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""In which order images stand on each other: what changes often is above what takes long to make."""

from __future__ import annotations

import re
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
