# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A small world for the autopilot: gates that keep what there is in a file, count what they are asked to change, and are reached by a
program that stands where ``ssh`` does. All else is real: ansible-runner, the playbooks, the ledger."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.autopilot import catalogue
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.inventory import Inventory
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.judgement import Engine
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.means import Means
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.tests.unit import piloting
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

SERVICES = {"monitor": "ssh-monitor", "manager": "ssh-manager", "git": "git"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# What stands for ssh: `ssh … -- SERVICE LINE`. Its files are beside it.
GATE = """\
#!{python} -IS
import fcntl, json, os, shlex, signal, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
service, line = sys.argv[-2:]
verb, _json, *words = shlex.split(line)
path = os.path.join(folder, "world.json")
lock = open(os.path.join(folder, "lock"), "a")
fcntl.flock(lock, fcntl.LOCK_EX)
world = json.load(open(path))
def keep():
    with open(path + ".new", "w") as file:
        json.dump(world, file)
    os.rename(path + ".new", path)
def leave(message, status=1):
    print(f"{{verb}}: {{message}}", file=sys.stderr)
    sys.exit(status)
if service in world["silent"]:
    leave("Connection refused", 255)
def effect():
    with open(os.path.join(folder, "effects"), "a") as file:
        file.write(json.dumps([verb, *words]) + "\\n")
        os.fsync(file.fileno())
    time.sleep(world["slow"])
    if verb in world["refuses"]:
        leave("it is refused")
if verb == "status":
    answer = {{"services": list(world["services"].values()), "deploys": world["deploys"], "age": 0.0}}
elif verb == "ticket-list":
    label = [word.partition("=")[2] for word in words if word.startswith("--label=")]
    answer = {{"tickets": [each for each in world["tickets"] if set(label) <= set(each["labels"])], "damaged": []}}
elif verb == "git-status":
    answer = {{"main": {{"commit": world["main"]}}, "branches": []}}
elif verb == "request-restart":
    effect()
    name = words[0]
    if name in world["heals"]:
        entry = world["services"][name]
        entry.update(state="up", since=time.time(), container={{"state": "running", "health": "healthy", "exit_code": 0}})
        for probe in entry["probes"]:
            probe.update(state="up", detail="HTTP 200")
    world["services"].update(world["breaks"].get(name, {{}}))
    answer = {{}}
elif verb == "ticket-create":
    text = sys.stdin.read()
    effect()
    labels = [word.partition("=")[2] for word in words if word.startswith("--label=")]
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    number = "T-%04d" % (len(world["tickets"]) + 1)
    answer = dict(id=number, title=words[-1], description=text, status="open", priority="high", labels=labels)
    answer.update(assigned_to="developer", created_by="autopilot", updated_at=now)
    world["tickets"].append(answer)
elif verb == "ticket-update":
    effect()
    for ticket in world["tickets"]:
        if ticket["id"] == words[0]:
            ticket.update(word[2:].split("=", 1) for word in words[1:])
    answer = {{}}
elif verb in ("request-alert", "request-deploy", "request-rollback", "request-cleanup"):
    effect()
    if verb in world["then"]:
        world["services"].update(world["then"][verb].get("services", {{}}))
        world["deploys"] = world["then"][verb].get("deploys", world["deploys"])
    answer = {{}}
else:
    leave("it is no command here", 77)
keep()
print(json.dumps(answer))
"""


def service(name: str, ago: float = 600.0, **values: Any) -> dict[str, Any]:
    """A service of ``status --json``, as it is when it works, but for what is said otherwise."""
    probes = [{"port": "http", "state": "up", "detail": "HTTP 200"}]
    whole = {"service": name, "state": "up", "since": time.time() - ago, "probes": probes}
    container = {"state": "running", "health": "healthy", "exit_code": 0}
    return {**whole, "container": container, "room": {"used": 20, "cleanable": 0}, **values}


def exited(name: str, ago: float = 600.0) -> dict[str, Any]:
    container = {"state": "exited", "health": "", "exit_code": 137}
    probes = [{"port": "http", "state": "down", "detail": "no answer"}]
    return service(name, ago, state="down", probes=probes, container=container)


def unhealthy(name: str, ago: float = 600.0) -> dict[str, Any]:
    container = {"state": "running", "health": "unhealthy", "exit_code": 0}
    probes = [{"port": "http", "state": "degraded", "detail": "HTTP 503"}]
    return service(name, ago, state="degraded", probes=probes, container=container)


def cut_off(name: str, ago: float = 600.0) -> dict[str, Any]:
    probes = [{"port": "http", "state": "down", "detail": "no answer"}]
    return service(name, ago, state="down", probes=probes)


class World:
    """The world in a directory, in which all of it works at first.

    Args:
        folder: its directory.
        playbooks: the directory of the catalogue.
        inventory: the names there are.
        policy: who may do what.
    """

    def __init__(self, folder: Path, playbooks: Path, inventory: Inventory, policy: Policy) -> None:
        self.folder, self.playbooks, self.inventory, self.policy = folder, playbooks, inventory, policy
        self.gate = folder / "gate"
        self.state = folder / "state"
        for each in (self.gate, self.state, folder / "runs"):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        program = self.gate / "ssh"
        if not program.exists():
            program.write_text(GATE.format(python=sys.executable))
            program.chmod(0o755)
            self.write(
                services={name: service(name) for name in inventory.services},
                **{name: {} for name in ("breaks", "then")},
                **{name: [] for name in ("tickets", "deploys", "silent", "heals", "refuses")},
                main=COMMIT,
                slow=0.0,
            )

    @classmethod
    def of(cls, folder: Path, root: Path) -> World:
        """The world of a project's topology, with its catalogue and its policy."""
        playbooks = root / "playbooks" / "autopilot"
        return cls(folder, playbooks, piloting.inventory_of(root), piloting.policy_of(root))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.gate / "world.json").read_text())
        return found

    def write(self, **values: Any) -> None:
        """Change what there is."""
        path = self.gate / "world.json"
        whole = {**(self.read() if path.exists() else {}), **values}
        path.with_suffix(".mine").write_text(json.dumps(whole))
        path.with_suffix(".mine").rename(path)

    def put(self, *services: Mapping[str, Any]) -> None:
        """Let services be so."""
        self.write(services={**self.read()["services"], **{each["service"]: each for each in services}})

    def effects(self) -> list[list[str]]:
        """What the gates were asked to change, in order."""
        path = self.gate / "effects"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def set(self, **settings: object) -> None:
        """Change settings."""
        self.settings.update(settings)

    @property
    def settings(self) -> EnvFile:
        return EnvFile(self.folder / ".env", "autopilot")

    def means(self) -> Means:
        """What the autopilot works with here."""
        playbook.PYTHON, playbook.COLLECTIONS = sys.executable, str(COLLECTIONS)
        path = os.environ["PATH"].split(":")
        if str(self.gate) not in path:
            os.environ["PATH"] = ":".join([str(self.gate), *path])
        actions = catalogue.read(self.playbooks, self.inventory, self.policy)
        return Means(
            Place("autopilot", "ssh-autopilot", self.policy, SERVICES),
            self.settings,
            self.state,
            self.folder / "runs",
            self.playbooks,
            self.inventory,
            actions,
            Engine(actions, self.inventory, self.policy),
            AuditLog(self.folder / "ssh-autopilot.jsonl"),
        )
