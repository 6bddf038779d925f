#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Say what is wrong with a machine before the platform's first run
description:
  - Looks at the system's release and architecture, Python, rights, Docker Engine, the ports that are to be published, memory and disk,
    control groups, the kernel's file systems and namespaces, and the firewall. Changes nothing.
  - The action of the same name works out of the topology what a Docker host needs, and looks from the controller at its name, its clock,
    the way there and its pinned host key.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
options:
  docker_host:
    description:
      - For the action, the inventory name of the Docker host, to which the task is to be delegated; the other options follow from it.
      - Empty for the controller.
    type: str
    default: ""
  project:
    description: Name of the platform, whose own containers are in nobody's way.
    type: str
    default: dockfra
  ports:
    description: Places on the host (C(address:port)) that are to be published.
    type: list
    elements: str
    default: []
  memory:
    description: Bytes of memory that the services of the host need.
    type: int
    default: 0
  disk:
    description: Bytes of disk that are needed.
    type: int
    default: 0
  directory:
    description: Directory in which the disk is needed, instead of the engine's own.
    type: path
    default: ""
  checks:
    description: What to look at; by default all that concerns a Docker host.
    type: list
    elements: str
    choices: [system, architecture, python, rights, programs, engine, ports, memory, disk, cgroups, overlay, namespaces, firewall]
seealso:
  - module: dockfra.core.doctor_report
"""

EXAMPLES = r"""
- name: Examine a server
  dockfra.core.doctor:
    docker_host: app-server
  delegate_to: app-server
  register: examined
"""

RETURN = r"""
findings:
  description:
    - What was found, each with C(check), C(level) (V(ok), V(warning) or V(wrong)), C(what) there is, and the C(remedy).
    - Those of the action have C(host), too.
  returned: success
  type: list
  elements: dict
now:
  description: The machine's clock, in seconds since 1970.
  returned: when the module runs by itself
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.doctor import examine


def main() -> None:
    known = list(dict.fromkeys([*examine.DOCKER_HOST, *examine.CONTROLLER]))
    module = AnsibleModule(
        argument_spec={
            "docker_host": {"type": "str", "default": ""},
            "project": {"type": "str", "default": "dockfra"},
            "ports": {"type": "list", "elements": "str", "default": []},
            "memory": {"type": "int", "default": 0},
            "disk": {"type": "int", "default": 0},
            "directory": {"type": "path", "default": ""},
            "checks": {"type": "list", "elements": "str", "choices": known},
        },
        supports_check_mode=True,
    )
    now, wanted = time.time(), module.params
    machine = examine.Machine(
        wanted["project"], wanted["ports"], wanted["memory"], wanted["disk"], wanted["directory"]
    )
    found = machine.examine(wanted["checks"] or examine.DOCKER_HOST)
    module.exit_json(changed=False, now=now, findings=[finding._asdict() for finding in found])


if __name__ == "__main__":
    main()
