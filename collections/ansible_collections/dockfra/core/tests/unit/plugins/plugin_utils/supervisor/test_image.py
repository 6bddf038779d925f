# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the role brings into an image is all that the supervisor needs there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.dockfra.core.plugins.plugin_utils.controller.images import Image, image_sources
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.role_files import RoleFinder
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

PLACE = "ansible_collections/dockfra/core/plugins"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The libraries of the image, as its Dockerfile puts them in place."""
    role = RoleFinder(DataLoader(), COLLECTIONS.parent).role("dockfra.core.releases")
    assert role.image_context is not None
    extra = {place: str(role.path / path) for place, path in role.defaults["releases_image_files"].items()}
    sources = image_sources(role.image_context, extra)
    for path, file in Image("dockfra/releases", "", (), sources).context().items():
        if path.startswith("python/"):
            place = tmp_path / PLACE / path.removeprefix("python/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content)
    return tmp_path


@pytest.mark.parametrize(("module", "status"), [("main", 1), ("describe", 2)])
def test_its_commands_find_all_they_import(image: Path, module: str, status: int) -> None:
    name = f"{PLACE.replace('/', '.')}.plugin_utils.supervisor.{module}"
    code = f"import sys; sys.path.insert(0, {str(image)!r}); from {name} import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-ISc", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_a_service_does_not_need_is_not_loaded(image: Path) -> None:
    """Its memory is the service's."""
    name = f"{PLACE.replace('/', '.')}.plugin_utils.supervisor.main"
    code = f"import sys; sys.path.insert(0, {str(image)!r}); import {name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert not {"yaml", "tarfile", "http.client", "ctypes", "ssl", "asyncio"} & set(done.stdout.split())
