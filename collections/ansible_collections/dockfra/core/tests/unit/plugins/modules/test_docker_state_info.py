# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything a platform has on a Docker host, read by the module in a process of its own."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import Holder, WorkLock
from ansible_collections.dockfra.core.tests.unit import fake_engine
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import run_module


def test_an_engine_that_does_not_answer_is_a_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    options = {"project": "p", "directories": {str(tmp_path): str(os.getuid())}, "timeout": 2}
    result = run_module("docker_state_info", options, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert result["engine_error"].startswith("The Docker Engine does not answer")
    assert "containers" not in result
    assert (result["changed"], list(result["files"][str(tmp_path)]), result["busy_ports"]) == (
        False,
        ["file"],
        {},
    )


def test_all_is_read_at_once_and_changes_nothing(engine: FakeEngine, tmp_path: Path) -> None:
    engine.images["i:1"] = fake_engine.image("i:1")
    engine.networks["p-net"] = fake_engine.network("p-net", "p")
    engine.volumes["p-data"] = {"dockfra.project": "p"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        options = {
            "project": "p",
            "images": ["i:1", "j:1"],
            "ports": [place],
            "directories": {str(tmp_path / "none"): "1000"},
            "sockets": [str(engine.socket), str(tmp_path / "none")],
            "_ansible_check_mode": True,
        }
        result = run_module("docker_state_info", options, DOCKER_HOST=engine.url)
    assert (result["engine_error"], result["engine_version"]) == ("", "20.10.24")
    assert (list(result["networks"]), result["volumes"], list(result["images"])) == (
        ["p-net"],
        ["p-data"],
        ["i:1"],
    )
    assert result["busy_ports"][place].endswith(f"(pid {os.getpid()})")
    assert result["files"] == {str(tmp_path / "none"): {}}
    assert result["socket_groups"] == {str(engine.socket): engine.socket.stat().st_gid}
    assert all(request.startswith("GET ") for request in engine.requests)


def test_with_the_lock_or_not_at_all(engine: FakeEngine, tmp_path: Path) -> None:
    found, holder = WorkLock(tmp_path, "project-p"), Holder.of(1, "me", "this test")
    lock = {"name": "p", "directory": str(tmp_path), "free": ["images"], "holder": holder.to_dict()}

    def read(**more: object) -> dict[str, object]:
        options = {"project": "p", "lock": {**lock, **more}}
        return run_module("docker_state_info", options, DOCKER_HOST=engine.url)

    with found.hold("somebody", "deploys") as other:
        assert Holder.from_dict(read().pop("lock_holder")) == other  # type: ignore[arg-type]
    with WorkLock(tmp_path, "images").hold("somebody", "removes images"):
        assert "lock_holder" in read()
    assert engine.requests == []
    far = replace(holder, machine="another", started="1")
    found.release(holder)
    found.register(far)
    assert "lock_holder" in read()
    assert read(gone=far.to_dict())["engine_version"]
    assert found.holder() == holder
    assert read(holder={})["failed"]


def test_file_names_that_are_no_text_are_told_nevertheless(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff", "wb"):
        pass
    options = {"project": "p", "directories": {str(tmp_path): "0"}}
    result = run_module("docker_state_info", options, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert not result.get("failed"), result
    assert len(result["files"][str(tmp_path)]) == 1
