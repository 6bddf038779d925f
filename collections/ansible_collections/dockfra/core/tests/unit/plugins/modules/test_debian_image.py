# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An image from Debian's packages, by the module in a process of its own, with a debootstrap that only pretends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine, image
from ansible_collections.dockfra.core.tests.unit.support import run_module

NAME = "debian:trixie-slim"
DEBOOTSTRAP = """\
#!/bin/sh
echo "$*" >"$0.called"
[ ! -e "$0.error" ] || { echo "I: Retrieving"; cat "$0.error" >&2; exit 1; }
for root; do :; done
mkdir -p "$root/etc" "$root/usr/share/doc/bash" "$root/var/log" "$root/dev"
touch "$root/etc/debian_version" "$root/usr/share/doc/bash/copyright" "$root/var/log/dpkg.log" "$root/dev/null"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "debootstrap").write_text(DEBOOTSTRAP)
    (folder / "debootstrap").chmod(0o755)
    return folder


def call(engine: FakeEngine, programs: Path, **options: Any) -> dict[str, Any]:
    # Without a client program of Docker: only what the module itself calls can be found.
    for tool in ("tar", "rm", "sh", "mkdir", "touch", "cat"):
        if not (programs / tool).exists():
            (programs / tool).symlink_to(f"/bin/{tool}")
    temporary = programs.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = {"name": NAME, "suite": "trixie", **options}
    result = run_module(
        "debian_image", arguments, DOCKER_HOST=engine.url, PATH=str(programs), TMPDIR=str(temporary)
    )
    assert os.listdir(temporary) == [], "left behind"
    return result


def test_it_is_made_without_a_client_program_finding_t0(engine: FakeEngine, programs: Path) -> None:
    result = call(engine, programs, packages=["ca-certificates", "git"])
    assert (result["changed"], result["image"]) == (True, image(NAME)["Id"])
    assert {"./etc/debian_version", "./usr/share/doc", "./dev", "./var/log"} <= set(engine.imported[NAME])
    left_out = ("./usr/share/doc/bash", "./var/log/dpkg.log", "./dev/null")
    assert not [name for name in engine.imported[NAME] if name.startswith(left_out)]
    called = (programs / "debootstrap.called").read_text()
    assert called.startswith("--variant=minbase --include=ca-certificates,git trixie ")


def test_one_that_is_there_stays(engine: FakeEngine, programs: Path) -> None:
    engine.images[NAME] = image(NAME)
    result = call(engine, programs)
    assert (result["changed"], result["image"]) == (False, image(NAME)["Id"])
    assert not (programs / "debootstrap.called").exists()


def test_check_mode_makes_nothing(engine: FakeEngine, programs: Path) -> None:
    result = call(engine, programs, _ansible_check_mode=True)
    assert (result["changed"], result["image"]) == (True, "")
    assert engine.imported == {}


def test_the_reason_of_debootstrap_is_the_message(engine: FakeEngine, programs: Path) -> None:
    (programs / "debootstrap.error").write_text("E: Failed getting release file http://mirror/Release\n")
    result = call(engine, programs)
    assert result["failed"]
    assert result["msg"] == (
        "debootstrap could not make Debian trixie: E: Failed getting release file http://mirror/Release"
    )
    assert engine.imported == {}


def test_an_engine_that_does_not_take_it(engine: FakeEngine, programs: Path) -> None:
    engine.refuse_import = "no space left on device"
    result = call(engine, programs)
    assert result["failed"]
    assert (
        result["msg"] == f"{NAME}: the Docker Engine does not take the file system: no space left on device"
    )
