# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: release_served
short_description: Prove that a service serves a release
description:
  - Asks a service over HTTP until it has answered three times in a row with status 200 and the release in its header C(X-Release), or with
    no such header for what its image brought.
  - It asks from where Ansible runs; the connection of the task is not used.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: It only asks.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  service:
    description: The service's name, for messages.
    type: str
    required: true
  host:
    description: Where it answers.
    type: str
    required: true
  port:
    description: The port there.
    type: int
    required: true
  path:
    description: What to ask for.
    type: str
    default: /health
  release:
    description: The id of the release; empty for what the image of the service brought.
    type: str
    required: true
  seconds:
    description: How long to wait for it.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Prove that the backend serves what was shipped
  dockfra.core.release_served:
    service: backend
    host: backend
    port: 8081
    path: /health
    release: 20261125T131500Z-0123456789ab
"""

RETURN = r"""
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 0.4
"""
