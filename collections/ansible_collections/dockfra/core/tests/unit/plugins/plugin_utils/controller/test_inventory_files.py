# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of variables that are for nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.controller.inventory_files import problems


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "host_vars/bd.yml",
            "host_vars/bd.yml is for the host 'bd', but the inventory has no such host. Did you mean 'db'?",
        ),
        (
            "host_vars/bd/main.yml",
            "host_vars/bd is for the host 'bd', but the inventory has no such host. Did you mean 'db'?",
        ),
        (
            "host_vars/bd",
            "host_vars/bd is for the host 'bd', but the inventory has no such host. Did you mean 'db'?",
        ),
        (
            "host_vars/qqqqq.yaml",
            "host_vars/qqqqq.yaml is for the host 'qqqqq', but the inventory has no such host.",
        ),
        (
            "group_vars/ap.yml",
            "group_vars/ap.yml is for the group 'ap', but the inventory has no such group. Did you mean 'app'?",
        ),
    ],
)
def test_variables_for_nobody_are_told_with_the_nearest_name_finding_p9(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("a: 1\n")
    (tmp_path / "hosts.yml").touch()
    for source in (tmp_path, tmp_path / "hosts.yml"):
        (problem,) = problems([str(source)], ["db", "web"], ["all", "app"])
        assert problem == f"{message} Rename the file, or remove it."


@pytest.mark.parametrize(
    "file",
    [
        "host_vars/db.yml",
        "host_vars/db",
        "host_vars/.db.yml.swp",
        "host_vars/db.yml~",
        "group_vars/all/x.yml",
        "group_vars/app.json",
    ],
)
def test_what_belongs_to_somebody_or_is_no_file_of_variables_is_fine(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("a: 1\n")
    assert problems([str(tmp_path)], ["db", "web"], ["all", "app"]) == []
