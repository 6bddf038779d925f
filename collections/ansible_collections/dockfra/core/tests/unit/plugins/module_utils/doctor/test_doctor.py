# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor finds, by effect: a port that is held, a disk that is small, a kernel that lacks something."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.doctor import network, room, system
from ansible_collections.dockfra.core.plugins.module_utils.doctor.finding import OK, WARNING, WRONG
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import is_root, run_module

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"', OK),
        ("ID=debian\nPRETTY_NAME='Debian GNU/Linux forky/sid'", OK),
        ('ID=debian\nVERSION_ID="11"', WRONG),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"', OK),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"', WRONG),
        ("ID=raspbian\nID_LIKE=debian", WARNING),
        ('ID=fedora\nVERSION_ID="43"', WRONG),
        ("", WRONG),
    ],
)
def test_systems(tmp_path: Path, text: str, level: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(text)
    assert system.release(file).level == level
    assert system.release(tmp_path / "missing").level == WRONG


def test_processors_python_and_rights() -> None:
    assert [system.architecture(name).level for name in ("x86_64", "aarch64", "armv7l")] == [
        OK,
        WARNING,
        WRONG,
    ]
    assert [system.python(version).level for version in ((3, 11, 2), (3, 9, 2), (2, 7, 18))] == [
        OK,
        WRONG,
        WRONG,
    ]
    assert "ansible_python_interpreter" in system.python((3, 9, 2)).text
    assert [system.rights(user).level for user in (0, 1000)] == [OK, WRONG]


def test_programs_that_are_missing_are_named_with_their_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ssh").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [found] = system.programs({"ssh": "openssh-client", "git": "git"})
    assert (found.level, found.text) == (WRONG, "There is no git. Install them: apt-get install git.")
    (tmp_path / "git").touch(mode=0o755)
    assert system.programs({"ssh": "openssh-client", "git": "git"})[0].level == OK


def test_control_groups_of_both_versions(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert system.cgroups(second).level == OK
    (second / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    assert (system.cgroups(second).level, "no memory" in system.cgroups(second).what) == (WRONG, True)
    first = tmp_path / "first"
    (first / "memory").mkdir(parents=True)
    assert "no pids" in system.cgroups(first).what
    (first / "pids").mkdir()
    assert system.cgroups(first).level == OK
    assert system.cgroups().level == OK  # this machine runs the tests


def test_the_kernel(tmp_path: Path) -> None:
    bare = tmp_path / "filesystems"
    bare.write_text("nodev\tsysfs\n\text4\n")
    assert system.overlay(bare, tmp_path).level == WRONG
    assert system.overlay(bare, tmp_path, "overlay2").level == OK
    (tmp_path / "modules.dep").write_text("kernel/fs/overlayfs/overlay.ko.xz:\n")
    assert system.overlay(bare, tmp_path).level == OK
    bare.write_text("nodev\toverlay\n")
    assert system.overlay(bare, tmp_path / "none").level == OK
    (tmp_path / "namespaces").write_text("0\n")
    assert system.namespaces(tmp_path / "namespaces").level == WARNING
    (tmp_path / "namespaces").write_text("63000\n")
    assert system.namespaces(tmp_path / "namespaces").level == OK


def test_other_firewalls_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_path", lambda: str(tmp_path))
    assert [finding.level for finding in system.firewall(tmp_path / "ufw.conf", tmp_path)] == [OK]
    (tmp_path / "ufw.conf").write_text("# comment\nENABLED=yes\n")
    (tmp_path / "firewalld").mkdir()
    found = system.firewall(tmp_path / "ufw.conf", tmp_path)
    assert [(finding.level, finding.what.split()[0]) for finding in found] == [
        (WARNING, "ufw"),
        (WARNING, "firewalld"),
    ]


@is_root
def test_a_firewall_that_cannot_be_read_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nft = tmp_path / "nft"
    nft.write_text("#!/bin/sh\necho 'Error: Could not process rule: Operation not supported' >&2\nexit 1\n")
    nft.chmod(0o755)
    monkeypatch.setattr(system, "_path", lambda: f"{tmp_path}:/bin")
    found = system.firewall(tmp_path / "none", tmp_path)
    assert (WRONG, True) in [(finding.level, "Operation not supported" in finding.what) for finding in found]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with 8 MiB of room."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@is_root
def test_a_disk_that_is_too_small(small_disk: Path) -> None:
    assert room.disk(str(small_disk), 4 * MIB, "images").level == OK
    assert room.disk(str(small_disk / "not/yet/there"), 4 * MIB, "images").level == OK
    found = room.disk(str(small_disk / "not/yet/there"), 16 * MIB, "images")
    assert (found.level, "images take 0.0 GiB" in found.what) == (WRONG, True)
    (small_disk / "file").write_bytes(bytes(6 * MIB))
    assert room.disk(str(small_disk), 4 * MIB, "images").level == WRONG


def test_memory_of_a_machine_and_of_a_container(tmp_path: Path) -> None:
    info, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    info.write_text("MemTotal:        2048000 kB\nMemFree:          100 kB\n")
    assert room.memory(2 * 1024 * MIB, info, limit).level == OK  # what is sold as 2 GiB
    assert room.memory(3 * 1024 * MIB, info, limit).level == WRONG
    limit.write_text("max\n")
    assert room.memory(2 * 1024 * MIB, info, limit).level == OK
    limit.write_text(f"{512 * MIB}\n")
    assert room.memory(2 * 1024 * MIB, info, limit).level == WRONG


def test_names_and_clocks() -> None:
    assert network.domain("localhost", {"127.0.0.1", "::1"}).level == OK
    assert network.domain("localhost", {"192.0.2.1"}).level == WARNING
    missing = network.domain("nothing.invalid", {"192.0.2.1"})
    assert (missing.level, "nothing.invalid A 192.0.2.1" in missing.remedy) == (WRONG, True)
    assert network.addresses("nothing.invalid") == set()


def test_a_server_has_an_address_of_ipv4() -> None:
    assert network.address("192.0.2.1").level == OK
    assert network.address("localhost").level == OK
    only = network.address("2001:db8::1")
    assert (only.level, "has no IPv4 address" in only.what) == (WRONG, True)
    assert network.address("nothing.invalid").level == WARNING
    now = time.time()
    assert network.clock(now, now + 0.5, now + 1).level == OK
    assert network.clock(now, now + 12, now + 1).level == WARNING
    behind = network.clock(now, now - 3600, now + 1)
    assert (behind.level, behind.what) == (WRONG, "Its clock is 3600 s behind that of the controller")


def test_the_module_names_who_has_a_port_and_changes_nothing(engine: FakeEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as other:
        taken = held.getsockname()[1]
        free = other.getsockname()[1]
        other.close()
        options = {
            "ports": [f"127.0.0.1:{taken}", f"127.0.0.1:{free}"],
            "checks": ["ports", "engine"],
            "_ansible_check_mode": True,
        }
        before = time.time()
        result = run_module("doctor", options, DOCKER_HOST=engine.url)
    ports, version = result["findings"]
    assert (ports["check"], ports["level"]) == ("ports", WRONG)
    assert f"Port {taken} (127.0.0.1:{taken}) is already used by" in ports["what"]
    assert f"(pid {os.getpid()})" in ports["what"]
    assert (version["level"], version["what"]) == (OK, "Docker Engine is 20.10.24")
    assert before <= result["now"] <= time.time()
    assert result["changed"] is False
    assert all(request.startswith("GET ") for request in engine.requests)


def test_the_module_without_an_engine_and_on_the_controller(tmp_path: Path) -> None:
    nowhere = "unix:///nowhere/docker.sock"
    result = run_module("doctor", {"memory": MIB, "disk": MIB}, DOCKER_HOST=nowhere)
    found = {finding["check"]: finding for finding in result["findings"]}
    assert "the first run installs and starts one" in found["engine"]["what"]
    assert "ports" not in found  # none are wanted
    options = {"checks": ["disk"], "disk": 10**18, "directory": str(tmp_path)}
    [disk] = run_module("doctor", options, DOCKER_HOST=nowhere)["findings"]
    assert (disk["level"], str(tmp_path) in disk["what"]) == (WRONG, True)
