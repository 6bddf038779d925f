"""What molecule has converged is what the inventory says, and it answers."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import testinfra

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "molecule/default/inventory"
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def _services() -> dict[str, Mapping[str, Any]]:
    listed = subprocess.run(
        ["ansible-inventory", "-i", str(INVENTORY), "--list"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    hosts = json.loads(listed.stdout)["_meta"]["hostvars"]
    return {name: values for name, values in hosts.items() if "dockfra_networks" in values}


SERVICES = _services()
PROJECT = next(iter(SERVICES.values()))["dockfra_project"]
OFFSET = next(iter(SERVICES.values()))["dockfra_port_offset"]
STATE = ROOT / ".dockfra/molecule"


def _published(name: str) -> list[int]:
    return [port["publish"] + OFFSET for port in SERVICES[name].get("dockfra_ports", []) if "publish" in port]


@pytest.mark.parametrize("name", SERVICES)
def test_service(name: str) -> None:
    """Healthy, an ordinary user, and published where declared."""
    container = testinfra.get_host("local://").docker(f"{PROJECT}-{name}")
    details = container.inspect()
    assert details["State"]["Health"]["Status"] == "healthy"
    assert details["HostConfig"]["ReadonlyRootfs"]
    inside = testinfra.get_host(f"docker://{PROJECT}-{name}")
    assert inside.check_output("id -u") == str(SERVICES[name]["dockfra_uid"])
    has_socket = bool(SERVICES[name].get("dockfra_docker_socket"))
    assert inside.file("/var/run/docker.sock").exists == has_socket
    for port in _published(name):
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass


def test_page() -> None:
    context = ssl.create_default_context(cafile=str(STATE / "tls/ca.crt"))
    https = next(port["publish"] for port in SERVICES["traefik"]["dockfra_ports"] if port["name"] == "https")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"https://localhost:{https + OFFSET}/", timeout=10) as answer:
        assert answer.status == 200
        assert b"<title>" in answer.read()


@pytest.mark.parametrize("name", [name for name in SERVICES if name.startswith("ssh-")])
def test_ssh(name: str) -> None:
    done = subprocess.run(
        ["ssh", "-F", str(STATE / "ssh_config"), "-o", "BatchMode=yes", name, "id -un"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, SERVICES[name]["dockfra_user"]), done.stderr


def test_verify_playbook() -> None:
    done = subprocess.run(
        ["ansible-playbook", "playbooks/verify.yml", "-i", str(INVENTORY)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:]
