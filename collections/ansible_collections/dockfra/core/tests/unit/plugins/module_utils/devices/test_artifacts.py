# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a release has for a kind of device: what its manifest says is believed only as far as the file agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.devices import artifacts
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    DeviceUnsuitableError,
    ReleaseDamagedError,
)
from ansible_collections.dockfra.core.tests.unit.made_devices import manifest


@pytest.mark.parametrize(
    ("machine", "bits", "kind"),
    [
        ("x86_64", 64, "x86_64"),
        ("aarch64", 64, "arm64"),
        ("aarch64", 0, "arm64"),
        ("aarch64", 32, "aarch64 with programs of 32 bits"),
        ("armv7l", 32, "armv7l"),
    ],
)
def test_the_kind_of_a_device(machine: str, bits: int, kind: str) -> None:
    assert artifacts.architecture(machine, bits) == kind


def test_the_file_of_a_kind(tmp_path: Path) -> None:
    found = artifacts.choose(manifest(tmp_path, b"one", architecture="arm64"), "arm64")
    assert (found.name, found.size, Path(found.path).read_bytes()) == ("status-1.0.0-linux-arm64", 3, b"one")
    with pytest.raises(DeviceUnsuitableError, match="the release is for arm64, and this device is 'x86_64'"):
        artifacts.choose(tmp_path, "x86_64")


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../../etc/passwd"},
        {"name": ""},
        {"name": "-rf"},
        {"name": "a b"},
        {"version": "1\n2"},
        {"size": 2**40},
        {"size": True},
        {"size": "3"},
        {"sha256": "0" * 63},
        {"architecture": None, "sha256": []},
    ],
)
def test_what_a_manifest_cannot_say(tmp_path: Path, values: dict[str, Any]) -> None:
    path = manifest(tmp_path, b"one") / artifacts.MANIFEST
    [entry] = json.loads(path.read_text())["artifacts"]
    path.write_text(json.dumps({"artifacts": [{**entry, **values}]}))
    with pytest.raises(ReleaseDamagedError, match="is no manifest of files for devices"):
        artifacts.choose(tmp_path, "x86_64")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"artifacts": 1}', "[" * 10_000, "[" + "1," * 5000 + "1]"])
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / artifacts.MANIFEST).write_text(text)
    with pytest.raises(ReleaseDamagedError):
        artifacts.choose(tmp_path, "x86_64")


def test_a_file_that_is_not_what_the_manifest_says(tmp_path: Path) -> None:
    name = "status-1.0.0-linux-x86_64"
    manifest(tmp_path, b"one")
    (tmp_path / name).write_bytes(b"two")
    with pytest.raises(ReleaseDamagedError, match="and its manifest says"):
        artifacts.choose(tmp_path, "x86_64")
    (tmp_path / name).write_bytes(b"more")
    with pytest.raises(ReleaseDamagedError, match="is no file of 3 bytes"):
        artifacts.choose(tmp_path, "x86_64")
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("real")
    with pytest.raises(ReleaseDamagedError, match="is no file of 3 bytes"):
        artifacts.choose(tmp_path, "x86_64")
