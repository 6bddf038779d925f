# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: image_context
short_description: Put a docker build context on the Docker host
description:
  - Collects files and directories of the controller and brings a directory on the Docker host to exactly these files.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing.
    support: full
  diff_mode:
    description: Lists the paths that change.
    support: full
options:
  path:
    description: The directory on the Docker host.
    type: path
    required: true
  sources:
    description: Pairs of a place in the context and the file, directory or glob on the controller that goes there.
    type: list
    elements: list
    required: true
seealso:
  - module: dockfra.core.file_tree
"""

EXAMPLES = r"""
- name: Put the context in place
  dockfra.core.image_context:
    path: /var/lib/dockfra/dockfra/build/db
    sources: [["", roles/db/files/image]]
"""

RETURN = r"""
created: {description: Paths made., returned: success, type: list, elements: str}
updated: {description: "Paths whose content, mode or owner changed.", returned: success, type: list, elements: str}
removed: {description: Paths removed., returned: success, type: list, elements: str}
"""
