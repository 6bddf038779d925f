# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the unit tests share: the collection loader, a fake Docker Engine and throw-away projects."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader
from hypothesis import settings

COLLECTIONS = Path(__file__).resolve().parents[5]
# Before anything imports from ansible_collections: Ansible's own finder knows about collections, Python's does not.
init_plugin_loader([str(COLLECTIONS)])

from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine  # noqa: E402
from ansible_collections.dockfra.core.tests.unit.support import (  # noqa: E402
    STORE_ROLE,
    WEB_ROLE,
    Project,
    three_services,
)

# The same examples on every run; time is not theirs to judge, because other tests run beside them.
settings.register_profile("dockfra", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("dockfra")


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A project without roles or inventory."""
    project = Project(tmp_path / "project")
    settings = (
        f"collections_path = {COLLECTIONS}\nroles_path = roles\nlocalhost_warning = False\nnocows = True\n"
    )
    project.write(
        {
            "ansible.cfg": f"[defaults]\n{settings}retry_files_enabled = False\nforks = 3\n[connection]\npipelining = True\n"
        }
    )
    return project


@pytest.fixture
def project(empty_project: Project) -> Project:
    """A project with the roles ``store`` and ``web`` and an inventory of three services."""
    empty_project.write(STORE_ROLE, "roles/store")
    empty_project.write(WEB_ROLE, "roles/web")
    empty_project.inventory(three_services())
    return empty_project


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """A running fake engine that has nothing."""
    # Not below tmp_path: a unix socket's path has at most 107 characters.
    folder = tempfile.mkdtemp(prefix="dockfra-")
    try:
        with FakeEngine(Path(folder) / "docker.sock") as fake:
            yield fake
    finally:
        shutil.rmtree(folder)
