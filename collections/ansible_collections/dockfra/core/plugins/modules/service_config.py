# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: service_config
short_description: Put a service's rendered configuration on its Docker host
description:
  - Renders C(templates/etc) of the service's roles for the current host and brings the directory that is mounted at
    C(/etc/dockfra) in its container to exactly these files.
  - Contents are never shown, because configuration may hold secrets.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing.
    support: full
  diff_mode:
    description: Lists the paths that change, never their content.
    support: full
options:
  services:
    description:
      - The services whose configuration is put in place, all on the Docker host that the task is delegated to; by default the
        current host alone.
      - What is returned names the service with each path, unless it is one.
    type: list
    elements: str
seealso:
  - module: dockfra.core.file_tree
"""

EXAMPLES = r"""
- name: Put the configuration in place
  dockfra.core.service_config:
"""

RETURN = r"""
created: {description: Paths made., returned: success, type: list, elements: str}
updated: {description: "Paths whose content, mode or owner changed.", returned: success, type: list, elements: str}
removed: {description: Paths removed., returned: success, type: list, elements: str}
dockfra_service: {description: "Name and state of each service, for the progress display.", returned: success, type: list, elements: dict}
"""
