# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: operator_files
short_description: Give the person at the controller an SSH configuration and the access map
description:
  - Writes C(ssh_config), C(known_hosts) and C(access.txt) to C(dockfra_state_dir), derived from the inventory.
  - Returns the access map for the end of a run.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing.
    support: full
  diff_mode:
    description: Lists the files that change.
    support: full
options:
  changes:
    description: How many services the run worked on, for the first line of the summary.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show the way in
  dockfra.core.operator_files:
  run_once: true
"""

RETURN = r"""
dockfra_summary:
  description: The access map, for the progress display.
  returned: success
  type: str
updated:
  description: Files written.
  returned: success
  type: list
  elements: str
"""
