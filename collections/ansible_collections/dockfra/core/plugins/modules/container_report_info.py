#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: container_report_info
short_description: Say why a container does not work
description:
  - Returns a container's status, the output of its last health check and the end of its log, for an error message.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
options:
  name:
    description: Name of the container.
    type: str
    required: true
  lines:
    description: How many lines of the log to return.
    type: int
    default: 15
requirements:
  - Docker SDK for Python (docker) 7 or later
"""

EXAMPLES = r"""
- name: See why the database does not start
  dockfra.core.container_report_info:
    name: dockfra-db
"""

RETURN = r"""
status:
  description: Life-cycle state in Docker's words, V(missing) when there is no such container.
  returned: success
  type: str
health:
  description: Output of the last health check.
  returned: success
  type: str
log:
  description: The last lines of its log.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils import engine
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "lines": {"type": "int", "default": 15}},
        supports_check_mode=True,
    )
    if engine.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=engine.IMPORT_ERROR)
    try:
        report = engine.report(engine.connect(), module.params["name"], module.params["lines"])
    except DockfraError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **report)


if __name__ == "__main__":
    main()
