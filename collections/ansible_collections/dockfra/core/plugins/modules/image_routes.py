# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: image_routes
short_description: Say on which Docker host images are built and where they are sent
description:
  - For a platform on several Docker hosts. Each image that one of them lacks is built on one host only, unless that has it already,
    and the others get it from there (see M(dockfra.core.image_sent)).
  - Looks at the images of the Docker host that builds, to which the task is to be delegated, and changes nothing.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
options:
  builder:
    description: Inventory name of the Docker host that builds.
    type: str
    required: true
  plans:
    description: The plans of all Docker hosts, as M(dockfra.core.plan) returns them.
    type: list
    elements: dict
    required: true
seealso:
  - module: dockfra.core.plan
  - module: dockfra.core.image_sent
"""

EXAMPLES = r"""
- name: Say where images come from
  dockfra.core.image_routes:
    builder: management-server
    plans: "{{ dockfra_plan.results }}"
  delegate_to: management-server
  run_once: true
  register: dockfra_image_routes
"""

RETURN = r"""
builder:
  description: The Docker host that builds.
  returned: success
  type: str
builds:
  description: The images to build by the service that waits for them, the parents first.
  returned: success
  type: dict
levels:
  description: How many levels of images are built.
  returned: success
  type: int
needs_base_image:
  description: Whether an image is built directly on the base image.
  returned: success
  type: bool
transfers:
  description:
    - For each other Docker host that lacks images its name (C(target)), and C(images), each with the C(service) that needs it and its
      C(chain), the references of the images it stands on and its own.
  returned: success
  type: list
  elements: dict
"""
