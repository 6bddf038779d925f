# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compare a platform with its inventory
description:
  - Works out the desired state of every service from the inventory and the roles, reads the actual state of a Docker host
    in one process, and returns what differs and why.
  - Refuses unknown or wrong variables, contradictions in the topology, and published ports that something else uses,
    before anything is touched.
  - Changes nothing on the Docker host. Secrets that do not exist yet are made on the controller, except in check mode.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same plan.
    support: full
  diff_mode:
    description: Shows for each service the settings that would change.
    support: full
options:
  docker_host:
    description: Inventory name of the Docker host to look at; services with this O(docker_host) as C(dockfra_docker_host) belong to it.
    type: str
    required: true
  services:
    description: Names of the services to look at; those of other Docker hosts are left out.
    type: list
    elements: str
    required: true
  force:
    description: Plan a full verification of services that already look right.
    type: bool
    default: false
  settled:
    description: Fail when something is left to do, and say what.
    type: bool
    default: false
  lock:
    description:
      - Take the platform's lock on the Docker host before anything is read, by the same call, which spares one of M(dockfra.core.run_lock).
      - This waits for nobody. Where somebody else has the lock there is no plan, and RV(locked) says so. So several Docker hosts can be asked
        at the same time; whoever then lacks a lock gives back those that it has, or two runs would wait for each other.
    type: bool
    default: false
    version_added: 0.4.0
seealso:
  - module: dockfra.core.docker_state_info
  - module: dockfra.core.run_lock
"""

EXAMPLES = r"""
- name: Compare the platform with the inventory
  dockfra.core.plan:
    docker_host: localhost
    services: "{{ ansible_play_hosts_all }}"
  delegate_to: localhost
  run_once: true
  register: plan
"""

RETURN = r"""
locked:
  description: Whether the run has the platform's lock. Without it nothing else is returned.
  returned: when O(lock) was given
  type: bool
  version_added: 0.4.0
engine_error:
  description: Why the Docker Engine does not answer; empty when it does.
  returned: success
  type: str
engine_version:
  description: Version of the engine.
  returned: success
  type: str
networks:
  description: Networks to make.
  returned: success
  type: list
  elements: dict
volumes:
  description: Volumes to make.
  returned: success
  type: list
  elements: str
link_account:
  description: The account through which links of other Docker hosts come, where it is to be made or changed.
  returned: success
  type: dict
  version_added: 0.4.0
orphans:
  description: Containers of the platform that the inventory no longer has.
  returned: success
  type: list
  elements: str
services:
  description: Services that need something, each with its name, action, reasons, images to build and container options.
  returned: success
  type: list
  elements: dict
total:
  description: How many services were looked at.
  returned: success
  type: int
published_ports:
  description: Each published port of the chosen services, and how to ask it whether its service is healthy.
  returned: success
  type: list
  elements: dict
backup_volumes:
  description: The volumes of the Docker host that a backup takes, as M(dockfra.core.backup_archive) wants them.
  returned: success
  type: list
  elements: dict
remade_volumes:
  description: The volumes of the Docker host with what others have, which begin anew after a restore.
  returned: success
  type: list
  elements: str
  version_added: 0.4.0
watched_by:
  description: The monitor's container, where it runs on this Docker host.
  returned: success
  type: str
stale_operator_files:
  description: Files of the operator (see M(dockfra.core.operator_files)) that are missing or differ.
  returned: success
  type: list
  elements: str
dockfra_summary:
  description: The access map, for the progress display.
  returned: success
  type: str
dockfra_pending:
  description: The reasons by service, for the progress display.
  returned: success
  type: dict
dockfra_total:
  description: The same as RV(total), for the progress display.
  returned: success
  type: int
"""
