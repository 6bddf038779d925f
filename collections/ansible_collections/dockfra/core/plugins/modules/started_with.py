# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: started_with
short_description: Refuse variables that a playbook does not know
description:
  - Fails when C(ansible-playbook) was started with C(-e) and a variable that means nothing to the playbook, and names the
    nearest one that does. What the platform's roles declare, what the inventory sets and Ansible's own variables always pass.
  - Fails as well while a value of the inventory is to be filled in, which begins with C(FILL_IN).
  - Belongs first in a playbook, before anything uses a variable.
version_added: 0.3.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Looks in check mode as well.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  variables:
    description: Names of the variables that the playbook takes, beside O(texts).
    type: list
    elements: str
    default: []
  texts:
    description: Names of variables with text of a person. A template in one is refused; text marked C(!unsafe) is no template.
    type: list
    elements: str
    default: []
  inventory:
    description: Whether an inventory has to be named, with C(-i) or C(ANSIBLE_INVENTORY).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Take only what is known
  dockfra.core.started_with:
    variables: [id, priority]
    texts: [title]
  run_once: true
"""

RETURN = r"""
changed:
  description: Never; nothing is touched.
  returned: success
  type: bool
"""
