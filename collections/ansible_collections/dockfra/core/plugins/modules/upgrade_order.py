#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_order
short_description: Say in which order services are brought to their declared state
description:
  - For a platform whose containers are replaced one after the other (C(dockfra_upgrade=serial)), on all its Docker hosts together.
  - A service that serves has a step of its own. First come the ends of links between Docker hosts, and each service comes behind those that it needs
    (C(dockfra_needs)); else it is the order of the inventory.
  - Services that do not serve start together, as soon as what they need is not to be replaced any more.
  - Looks at the plans alone, and changes nothing.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
options:
  plans:
    description: The plans of all Docker hosts, as M(dockfra.core.plan) returns them.
    type: list
    elements: dict
    required: true
seealso:
  - module: dockfra.core.plan
"""

EXAMPLES = r"""
- name: Say in which order services are replaced
  dockfra.core.upgrade_order:
    plans: "{{ dockfra_plan.results }}"
  run_once: true
  register: dockfra_upgrade_order
"""

RETURN = r"""
steps:
  description: The steps, each a list of the services that are worked on side by side.
  returned: success
  type: list
  elements: list
  sample: [[store], [web], [cache, proxy]]
dockfra_steps:
  description: The same, for the progress display.
  returned: success
  type: list
  elements: list
"""
