# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Let one run at a time work on a platform
description:
  - Takes the platform's lock for the running C(ansible-playbook) process, or waits for the run that holds it and says who that is.
  - The lock needs no release. It is free as soon as its holder has ended, however it ended.
  - It holds among the runs of one controller.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Takes no lock in check mode.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  name:
    description: Name of the platform.
    type: str
    required: true
  wait:
    description: Seconds to wait for another run.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: One run at a time
  dockfra.core.run_lock:
    name: dockfra
"""

RETURN = r"""
waited:
  description: Seconds waited for another run.
  returned: success
  type: float
"""
