# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""release-spec: what an image brings is described by the same file as its releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.releases import spec
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.describe import main


def test_it_is_written_as_the_supervisor_reads_it(tmp_path: Path) -> None:
    (tmp_path / "release.yml").write_text(
        "kind: static\nroot: site\nrequirements:\ntest: {command: [make]}\n"
    )
    assert main(["release-spec", str(tmp_path)]) == 0
    assert spec.load(tmp_path).root == "site"
    assert (tmp_path / "spec.json").stat().st_mode & 0o777 == 0o644


def test_a_mistake_ends_the_build_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "release.yml").write_text("kind: static\nrot: site\n")
    assert main(["release-spec", str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err
        == "release-spec: release.yml:2: rot: there is no such key; did you mean root?\n"
    )
    assert main(["release-spec", str(tmp_path / "missing")]) == 1
    assert main(["release-spec"]) == 2
