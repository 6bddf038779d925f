# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The doctor in real playbooks: what a host needs follows from the topology, and the way there is looked at too."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.tests.unit import live_sshd
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.live_sshd import Server
from ansible_collections.dockfra.core.tests.unit.support import Project, three_services


def examine(
    project: Project, engine: FakeEngine | None = None, host: str = "localhost"
) -> tuple[int, dict[str, Any], str]:
    """Examine a Docker host and report; returns the exit status, the written report, and what was shown."""
    report = project.root / "report.json"
    report.unlink(missing_ok=True)
    tasks: list[dict[str, Any]] = [
        {
            "name": "examine",
            "dockfra.core.doctor": {"docker_host": host},
            "delegate_to": host,
            "run_once": True,
            "register": "examined",
        },
        {
            "name": "report",
            "dockfra.core.doctor_report": {"findings": "{{ examined.findings }}", "path": str(report)},
            "run_once": True,
        },
    ]
    done = project.play(tasks, **({"DOCKER_HOST": engine.url} if engine else {}))
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown, shown
    assert report.exists(), shown
    return done.returncode, json.loads(report.read_text()), shown


def found(report: dict[str, Any], check: str) -> dict[str, Any]:
    [finding] = [finding for finding in report["findings"] if finding["check"] == check]
    return dict(finding)


def test_what_the_topology_publishes_is_looked_at(project: Project, engine: FakeEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        services = three_services()
        port = services["web"]["dockfra_ports"][0]["publish"] = held.getsockname()[1]
        project.inventory(services)
        status, report, shown = examine(project, engine)
        assert status != 0
        assert report["wrong"] >= 1
        finding = found(report, "ports")
        assert (finding["host"], finding["level"]) == ("localhost", "wrong")
        assert f"Port {port} (127.0.0.1:{port}) is already used by " in finding["what"]
        assert "dockfra_port_offset" in shown
    _status, report, _shown = examine(project, engine)
    assert found(report, "ports")["level"] == "ok"
    assert found(report, "clock")["level"] == "ok"
    assert not project.state.exists()
    assert not project.data.exists()


def test_an_inventory_that_contradicts_itself_is_a_finding(project: Project, engine: FakeEngine) -> None:
    services = three_services()
    services["web"]["dockfra_nonsense"] = 1
    project.inventory(services)
    _status, report, _shown = examine(project, engine, host="localhost")
    assert found(report, "engine")["level"] == "ok"
    task = {
        "name": "examine",
        "dockfra.core.doctor": {},
        "delegate_to": "localhost",
        "run_once": True,
        "register": "examined",
    }
    show = {"name": "show", "ansible.builtin.debug": {"var": "examined.findings"}, "run_once": True}
    done = project.play([task, show])
    assert "dockfra_nonsense" in done.stdout, done.stdout + done.stderr


@pytest.fixture
def behind_ssh(project: Project) -> Project:
    """The project with a Docker host that nobody listens at."""
    inventory = yaml.safe_load((project.root / "hosts.yml").read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inventory["all"]["children"]["docker_hosts"]["hosts"]["app"] = {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_ssh_args": "-o ControlMaster=no -F none",
        "ansible_python_interpreter": sys.executable,
    }
    (project.root / "hosts.yml").write_text(yaml.safe_dump(inventory))
    return project


def reach(project: Project, server: Server, options: str) -> None:
    """Let the inventory say how a server is reached."""
    inventory = yaml.safe_load((project.root / "hosts.yml").read_text())
    inventory["all"]["children"]["docker_hosts"]["hosts"]["app"] |= {
        "ansible_port": server.port,
        "ansible_ssh_private_key_file": str(server.key),
        "ansible_ssh_common_args": options,
    }
    (project.root / "hosts.yml").write_text(yaml.safe_dump(inventory))


def test_a_host_that_does_not_answer_is_one_finding(behind_ssh: Project, engine: FakeEngine) -> None:
    status, report, shown = examine(behind_ssh, engine, host="app")
    assert status != 0
    assert found(report, "reach")["level"] == "wrong"
    assert "Connection refused" in found(report, "reach")["what"]
    assert found(report, "host-key")["level"] == "wrong"
    assert "UNREACHABLE" not in shown


def test_an_ssh_that_ended_before_it_was_written_to_is_asked_again(
    behind_ssh: Project, engine: FakeEngine, tmp_path: Path
) -> None:
    mark, script = tmp_path / "asked", tmp_path / "ssh"
    script.write_text(
        f"""#!/bin/sh
case "$*" in *" -G "*) exec ssh "$@" ;; esac
if [ ! -e {mark} ]; then
  exec <&-
  touch {mark}
  sleep 1
  exit 255
fi
exec ssh "$@"
"""
    )
    script.chmod(0o755)
    inventory = yaml.safe_load((behind_ssh.root / "hosts.yml").read_text())
    inventory["all"]["children"]["docker_hosts"]["hosts"]["app"] |= {
        "ansible_ssh_executable": str(script),
        "ansible_pipelining": True,
    }
    (behind_ssh.root / "hosts.yml").write_text(yaml.safe_dump(inventory))
    status, report, _shown = examine(behind_ssh, engine, host="app")
    assert status != 0
    assert mark.exists()
    assert "Connection refused" in found(report, "reach")["what"]


@pytest.mark.skipif(bool(live_sshd.why_not()), reason=live_sshd.why_not())
def test_pinned_host_keys(behind_ssh: Project, tmp_path: Path) -> None:
    with live_sshd.server(tmp_path / "sshd") as server:
        known = f"-o UserKnownHostsFile={server.known_hosts}"
        reach(behind_ssh, server, f"{known} -o StrictHostKeyChecking=yes")
        _status, report, _shown = examine(behind_ssh, host="app")
        assert found(report, "host-key")["level"] == "ok", report
        assert found(report, "system")["host"] == "app"
        reach(behind_ssh, server, f"{known} -o StrictHostKeyChecking=no")
        _status, report, _shown = examine(behind_ssh, host="app")
        assert "takes any host key" in found(report, "host-key")["what"]
        server.known_hosts.write_text("")
        reach(behind_ssh, server, f"{known} -o StrictHostKeyChecking=yes")
        status, report, _shown = examine(behind_ssh, host="app")
        assert status != 0
        assert f"The host key of [127.0.0.1]:{server.port} is not pinned" in found(report, "host-key")["what"]
        assert f"ssh-keyscan -t ed25519 -p {server.port} 127.0.0.1" in found(report, "host-key")["remedy"]
        assert found(report, "reach")["level"] == "wrong"
