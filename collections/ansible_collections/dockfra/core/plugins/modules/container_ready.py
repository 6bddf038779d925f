#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: container_ready
short_description: Wait until a container works, or say why it does not
description:
  - Waits until a container is healthy, or running when it has no health check.
  - Fails with the container's status, the output of its last health check and the end of its log.
  - A container that keeps ending is given up after three restarts, not after the whole time.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Does not wait in check mode.
    support: full
options:
  name:
    description: Name of the container.
    type: str
    required: true
  service:
    description: Name of the service for messages and the progress display.
    type: str
    required: true
  timeout:
    description: Seconds to wait.
    type: int
    default: 180
  log_lines:
    description: How many lines of the log to show on failure.
    type: int
    default: 8
"""

EXAMPLES = r"""
- name: Wait for the database
  dockfra.core.container_ready:
    name: dockfra-db
    service: db
"""

RETURN = r"""
dockfra_service:
  description: Name and state of the service, for the progress display.
  returned: always
  type: dict
waited:
  description: Seconds waited.
  returned: success
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.containers import engine
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 180},
            "log_lines": {"type": "int", "default": 8},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    try:
        if not module.check_mode:
            engine.wait_ready(engine.connect(), **module.params)
    except DockfraError as error:
        begun = {"name": module.params["service"], "state": "begun"}
        module.fail_json(msg=str(error), dockfra_problems=[str(error)], dockfra_service=begun)
    ready = {"name": module.params["service"], "state": "ready"}
    module.exit_json(changed=False, dockfra_service=ready, waited=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
