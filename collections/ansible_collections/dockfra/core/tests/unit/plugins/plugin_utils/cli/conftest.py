# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the gate's and the commands' tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import files as audit_files
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import tickets
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    TICKETS,
    Box,
    Platform,
    Tripwire,
)


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with three tickets."""
    found = Platform(tmp_path / "platform")
    monkeypatch.setattr(tickets, "DIRECTORY", found.tickets)
    monkeypatch.setattr(audit_files, "DIRECTORY", str(found.audit))
    return found


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The programs, copied and compiled once."""
    return Box(tmp_path_factory.mktemp("box") / "platform")


@pytest.fixture
def box(image: Box) -> Iterator[Box]:
    """The manager's container, with tickets and logs as in the beginning."""
    image.use("manager")
    for path in (image.tickets, image.audit):
        shutil.rmtree(path)
    image.audit.mkdir()
    image.store = TicketStore(image.tickets)
    for fields in TICKETS:
        image.store.create("manager", fields)
    yield image
    image.audit.chmod(0o755)


_tripwires: list[Tripwire] = []


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    """The process's only tripwire."""
    if not _tripwires:
        _tripwires.append(Tripwire())
    yield _tripwires[0]
    _tripwires[0].disarm()
