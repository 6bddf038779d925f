# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Throw-away projects and processes for the unit tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import images, keyrings
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform

COLLECTIONS = Path(__file__).resolve().parents[5]

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def slow(*values: Any) -> Any:
    """Return values of a parameter with which a test is for the target `slow` alone."""
    return pytest.param(*values, marks=pytest.mark.slow)


# A service with an image, a configuration and a secret of its own.
STORE_ROLE = {
    "tasks/main.yml": "[]\n",
    "files/image/Dockerfile": "ARG BASE\nFROM ${BASE}\n",
    "templates/etc/store.conf.j2": (
        "size={{ store_size }}\npassword={{ lookup('dockfra.core.password', 'store/writer') }}\n"
        "listen={{ dockfra_listen_hosts | join(',') }}\n"
    ),
    "templates/etc/extra/optional.conf.j2": "{% if store_optional %}optional\n{% endif %}\n",
    "defaults/main.yml": "store_size: 5\nstore_optional: false\n",
    "meta/main.yml": "dependencies: [dockfra.core.base]\n",
    "meta/argument_specs.yml": """
        argument_specs:
          main:
            options:
              store_size: {description: Size., type: int, default: 5}
              store_optional: {description: Whether the optional file is there., type: bool, default: false}
        """,
}
WEB_ROLE = {
    "tasks/main.yml": "[]\n",
    "files/image/Dockerfile": "ARG BASE\nFROM ${BASE}\n",
    "templates/etc/web.conf.j2": "store={{ hostvars['store'].dockfra_ports[0].port }}\n",
    "meta/main.yml": "dependencies: [{role: dockfra.core.base}]\n",
}


def service(uid: int, *networks: str, **variables: Any) -> dict[str, Any]:
    """The host variables of a service."""
    return {
        "dockfra_description": "A service",
        "dockfra_user": "somebody",
        "dockfra_uid": uid,
        "dockfra_networks": list(networks),
        **{
            f"dockfra_{key}" if not key.startswith("store_") else key: value
            for key, value in variables.items()
        },
    }


def three_services() -> dict[str, dict[str, Any]]:
    """A small platform: a store, a web server in front of it, and a ready-made image."""
    return {
        "store": service(
            10001,
            "back",
            ports=[{"name": "db", "port": 5432}],
            volumes=[{"name": "store-data", "path": "/data"}],
        ),
        "web": service(
            10002,
            "back",
            "front",
            ports=[{"name": "http", "port": 8080, "publish": 28080, "networks": ["front"]}],
        ),
        "cache": service(10003, "back", image="cache:1", health=[]),
    }


@dataclass
class Project:
    """A project of its own in a temporary directory.

    Attributes:
        root: its directory; ``state`` is where secrets go and ``data`` stands for /var/lib/dockfra.
    """

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def write(self, files: Mapping[str, str], below: str = "") -> None:
        for name, text in files.items():
            path = self.root / below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")

    def inventory(self, services: Mapping[str, Mapping[str, Any]], **everywhere: Any) -> None:
        """Write the inventory: services, and what holds for all of them (without the prefix ``dockfra_``)."""
        content = {
            "all": {
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "dockfra_docker_host": "localhost",
                    "dockfra_project": "unit",
                    "dockfra_state_dir": str(self.state),
                    "dockfra_data_root": str(self.data),
                    # No two test processes plan the same port.
                    "dockfra_port_offset": 0,
                    "dockfra_network_options": {"front": {"gateway": True}},
                    **{f"dockfra_{key}": value for key, value in everywhere.items()},
                },
                "hosts": {name: dict(values) for name, values in services.items()},
                "children": {"docker_hosts": {"hosts": {"localhost": {}}}},
            }
        }
        (self.root / "hosts.yml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def platform(self, *, check_mode: bool = False, only: list[str] | None = None) -> Platform:
        """The platform as an action would see it."""
        # What a process remembers of files and secrets; each run of Ansible is a new one.
        images._fingerprints.cache_clear()
        keyrings._opened.clear()
        loader = DataLoader()
        loader.set_basedir(str(self.root))
        inventory = InventoryManager(loader, sources=[str(self.root / "hosts.yml")])
        variables = VariableManager(loader, inventory)
        config = {"ansible_config_file": str(self.root / "ansible.cfg")}
        # Ansible knows it from its start, which was that of the tests.
        constants.CONFIG_FILE = config["ansible_config_file"]
        variables._options_vars = {**variables._options_vars, "ansible_check_mode": check_mode}
        hostvars = HostVars(inventory, variables, loader)
        hosts = [host.name for host in inventory.get_hosts("all")]
        templar = Templar(loader, variables={"hostvars": hostvars, **config})
        return Platform(templar, loader, hostvars, hosts, only)

    def play(
        self, tasks: list[dict[str, Any]], *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run tasks with ``ansible-playbook``."""
        run = self.start(tasks, *arguments, **environment)
        stdout, stderr = run.communicate(timeout=120)
        return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)

    def start(
        self, tasks: list[dict[str, Any]], *arguments: str, **environment: str
    ) -> subprocess.Popen[str]:
        """Begin to run tasks on all services with ``ansible-playbook``."""
        play = [{"hosts": "all:!docker_hosts", "gather_facts": False, "tasks": tasks}]
        (self.root / "play.yml").write_text(yaml.safe_dump(play, sort_keys=False), encoding="utf-8")
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            "hosts.yml",
            "play.yml",
            *arguments,
        ]
        variables = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "DOCKER_"))
        }
        variables |= {
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "HOME": str(self.root),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",  # what is told while a run waits is read then
        }
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=variables | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def python_command(code: str, *arguments: str) -> list[str]:
    """The command line of a Python process that runs code with the collection at hand.

    The code may call ``become(uid)`` once it has imported what it needs: other users may not read this Python.
    """
    preamble = f"""
import encodings.ascii, os, sys
sys.path.insert(0, {str(COLLECTIONS)!r})
def become(uid):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
"""
    return [sys.executable, "-c", preamble + textwrap.dedent(code), *arguments]


def run_python(code: str, *arguments: str) -> str:
    """Run Python code in a process of its own (see `python_command`) and return what it printed."""
    done = subprocess.run(
        python_command(code, *arguments), capture_output=True, text=True, timeout=60, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def open_to_all(path: Path) -> None:
    """Let other users reach a temporary directory, which pytest makes for its own user only."""
    for folder in (path, *path.parents):
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o755)


def run_module(name: str, arguments: Mapping[str, Any], **environment: str) -> dict[str, Any]:
    """Run a module of the collection as Ansible does, and return its result."""
    module = f"ansible_collections.dockfra.core.plugins.modules.{name}"
    code = f"""
        from ansible.module_utils import basic
        basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
        basic._ANSIBLE_PROFILE = "legacy"
        import {module} as module
        module.main()
        """
    done = subprocess.run(
        python_command(code),
        input=json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments)}),
        env={key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return dict(json.loads(done.stdout))
