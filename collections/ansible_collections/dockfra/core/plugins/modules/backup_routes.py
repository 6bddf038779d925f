#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_routes
short_description: Bring together what each Docker host of the inventory gets of a backup
description:
  - What a backup has of a volume goes to the Docker host on which that volume is today, wherever it was when the backup was made.
  - Refuses what has no place, or more than one, before anything is changed. C(dockfra_restore_without) leaves something out.
  - Works on the controller alone. Archives are copied from one file to another, and never held in memory.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says which way everything would go, and makes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  folder:
    description: Directory of a snapshot, see O(dockfra.core.backup_repository#module:state=fetched).
    type: path
    required: true
seealso:
  - module: dockfra.core.backup_secrets
"""

EXAMPLES = r"""
- name: Bring together what each Docker host gets
  dockfra.core.backup_routes:
    folder: /root/dockfra/.dockfra/local.restore-run
  run_once: true
  register: backup_routes
"""

RETURN = r"""
targets:
  description: What each Docker host of the inventory gets. The archives are in C(targets/<docker_host>) of O(folder).
  returned: success
  type: list
  elements: dict
  contains:
    docker_host: {description: Its name in the inventory., type: str}
    size: {description: Bytes of its archive., type: int}
    volumes: {description: "Its volumes, as M(dockfra.core.plan) returns them as C(backup_volumes).", type: list, elements: dict}
    remade: {description: "Its volumes that begin anew, as C(remade_volumes) there.", type: list, elements: str}
moved:
  description: Whether the Docker hosts are others than those of the backup.
  returned: success
  type: bool
notes:
  description: What a person should know, a sentence each.
  returned: success
  type: list
  elements: str
"""
