# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A small platform for the autopilot's tests: a catalogue with two actions, and snapshots of how it is."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import catalogue, judgement
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.actions import Catalogue
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.inventory import Inventory
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.past import Event, Past
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.schema import Proposal
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.snapshot import (
    Budget,
    Container,
    Probe,
    Service,
    Snapshot,
)
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service as Declared
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology

NOW = 1_800_000_000.0

INVENTORY = Inventory.from_variables(
    {"data": ["store"], "front": ["web", "page"]},
    {
        "web": {
            "dockfra_networks": ["net"],
            "dockfra_release": {"target": "web", "path": "web"},
            "dockfra_needs": ["store"],
        },
        "page": {"dockfra_networks": ["net"], "dockfra_release": {"target": "web", "path": "page"}},
        "store": {"dockfra_networks": ["net"]},
        "localhost": {},
    },
)
POLICY = Policy(
    {},
    {
        "request-restart": {"at": {"monitor": ["autopilot"]}},
        "request-deploy": {"at": {"monitor": ["autopilot"]}},
        "ticket-create": {"at": {"manager": ["manager", "autopilot"]}},
        "deploy-all": {"at": {"monitor": ["monitor"]}},
    },
)

CATALOGUE = """\
windows:
  sunday: {begins: "0 2 * * 0", minutes: 60}
changes_per_hour: 4
tells_per_hour: 4
actions:
  restart:
    title: Restart a service
    risk: medium
    verbs: {monitor: [request-restart]}
    parameters:
      service: {kind: service, among: [all, "!page"]}
    cooldown: 120
    per_hour: 2
    precondition:
      - {fact: service.fault, is: [stopped, unhealthy]}
      - {fact: service.needs, is: [working]}
    probe:
      - {fact: service.fault, is: [none]}
    rules:
      - for: service
        when:
          - {fact: service.fault, is: [stopped, unhealthy]}
        with: {service: $service}
  deploy:
    title: Deploy a target
    risk: high
    verbs: {monitor: [request-deploy]}
    parameters:
      target: {kind: target}
      commit: {kind: commit}
    precondition:
      - {fact: commit.head, is: ["yes"]}
    probe:
      - {fact: target.faulty, most: 0}
  tell:
    title: Make a ticket
    risk: low
    verbs: {manager: [ticket-create]}
    parameters:
      service: {kind: service, among: [all]}
      title: {kind: line, most: 80}
    rules:
      - for: service
        when:
          - {fact: service.fault, is: [unreachable]}
          - {fact: service.ticket, is: [none]}
        with: {service: $service, title: $service is $fault}
"""
PLAYBOOK = "---\n- hosts: localhost\n  tasks: []\n"


def inventory_of(root: Path) -> Inventory:
    """The names that a project's topology has."""
    whole = yaml.safe_load((root / "inventories" / "topology.yml").read_text())["all"]["children"]
    groups = {name: list((group or {}).get("hosts") or ()) for name, group in whole.items()}
    hosts: dict[str, dict[str, Any]] = {}
    for group in whole.values():
        for name, variables in ((group or {}).get("hosts") or {}).items():
            hosts.setdefault(name, {}).update(variables or {})
    services = [
        Declared.from_variables(name, values)
        for name, values in hosts.items()
        if "dockfra_networks" in values
    ]
    for name, needed in Topology("unit", services).needs().items():
        hosts[name]["dockfra_needs"] = needed
    return Inventory.from_variables(groups, hosts)


def policy_of(root: Path) -> Policy:
    """A project's policy."""
    found = yaml.safe_load((root / "inventories" / "policy.yml").read_text())["all"]["vars"]
    return Policy(found["dockfra_capabilities"], found["dockfra_commands"])


def written(folder: Path, text: str = CATALOGUE, *names: str) -> Path:
    """Put a catalogue and playbooks into a directory, and return that."""
    (folder / catalogue.NAME).write_text(textwrap.dedent(text))
    for name in names or ("restart", "deploy", "tell"):
        (folder / f"{name}.yml").write_text(PLAYBOOK)
    return folder


def loaded(folder: Path, text: str = CATALOGUE) -> Catalogue:
    return catalogue.read(written(folder, text), INVENTORY, POLICY)


def engine(actions: Catalogue) -> judgement.Engine:
    return judgement.Engine(actions, INVENTORY, POLICY)


def service(name: str, **values: Any) -> Service:
    """A service that works, but for what is said otherwise."""
    probes = (Probe("http", "up", 200),)
    return replace(Service(name, "up", NOW - 600, probes, Container("running", "healthy")), **values)


def stopped(name: str, seconds: float = 60) -> Service:
    probes = (Probe("http", "down"),)
    container = Container("exited", "", 137)
    return service(name, state="down", since=NOW - seconds, probes=probes, container=container)


def unhealthy(name: str, seconds: float = 60) -> Service:
    probes = (Probe("http", "degraded", 503),)
    return service(name, state="degraded", since=NOW - seconds, probes=probes)


def cut_off(name: str, seconds: float = 120) -> Service:
    """Off its network, while its container runs and is healthy."""
    return service(name, state="down", since=NOW - seconds, probes=(Probe("http", "down"),))


def seen(*faulty: Service, inventory: Inventory = INVENTORY, **values: Any) -> Snapshot:
    """All services as they are when they work, but for these."""
    services = {name: service(name) for name in inventory.services} | {each.name: each for each in faulty}
    return Snapshot(**{"cycle": 7, "time": NOW, "services": services, "budget": Budget(1000, 1.0), **values})


def past(*events: Event) -> Past:
    return Past(events, NOW)


def event(
    action: str, subject: str, verdict: str = "done", ago: float = 600, risk: str = "medium", **values: Any
) -> Event:
    return Event(NOW - ago, action, f"service/{subject}", risk, verdict, **values)


def restart(name: str = "web", *evidence: str, planner: str = "llm") -> Proposal:
    return Proposal("restart", {"service": name}, evidence or (f"container/{name}",), planner)
