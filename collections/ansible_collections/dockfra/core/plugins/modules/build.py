# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: build
short_description: Have releases built of a commit
description:
  - Sends the tree of a commit to the builder of the platform and brings back an archive for each service.
  - What was pushed runs there, and nowhere else. Nothing that comes back is believed but what is measured here.
  - The build ends with the task.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Is skipped.
    support: none
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  origin:
    description: A bare repository on the machine where Ansible runs.
    type: path
    required: true
  commit:
    description: The whole hash of the commit.
    type: str
    required: true
  services:
    description: The directory of each service in the repository, by the service's name.
    type: dict
    required: true
  folder:
    description: Where the archives go, as C(<service>.tar.gz).
    type: path
    required: true
  tests:
    description: Whether each is tested.
    type: bool
    default: true
  timeout:
    description: Seconds that all of it may take.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Build the backend as it is at a commit
  dockfra.core.build:
    origin: /home/monitor/.local/state/dockfra/origin.git
    commit: 0123456789abcdef0123456789abcdef01234567
    services: {backend: backend}
    folder: /home/monitor/work
"""

RETURN = r"""
archives:
  description: By service its archive - C(path), C(size) in bytes, C(content) (bytes unpacked) and C(sha256).
  returned: success
  type: dict
steps:
  description: What was done, in order - C(service), C(step), C(seconds) and C(ok).
  returned: success
  type: list
  elements: dict
"""
