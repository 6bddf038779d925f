# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: operator_files
short_description: Give the person at the controller an SSH configuration and the access map
description:
  - Writes C(ssh_config), C(known_hosts) and C(access.txt) to C(dockfra_state_dir), derived from the inventory.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing.
    support: full
  diff_mode:
    description: Lists the files that change.
    support: full
options: {}
"""

EXAMPLES = r"""
- name: Show the way in
  dockfra.core.operator_files:
  run_once: true
"""

RETURN = r"""
updated:
  description: Files written.
  returned: success
  type: list
  elements: str
"""
