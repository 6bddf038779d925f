# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: image_sent
short_description: Send images from one Docker host to another
description:
  - Sends those images that the other Docker host lacks, as C(docker save | ssh host docker load) does, without Docker's client and
    through the connections of the inventory. The controller passes the archive on and keeps nothing of it.
  - Before, the room on the other host is compared with what unpacking takes. Afterwards each image is compared with that of the source
    by its id, or, where the engines keep images in different ways, by its layers and the label C(dockfra.content).
  - Tells every few seconds how far it is.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says which images would be sent, and sends nothing.
    support: full
options:
  source:
    description: Inventory name of the Docker host that has the images.
    type: str
    required: true
  target:
    description: Inventory name of the Docker host that needs them.
    type: str
    required: true
  chains:
    description: For each image that is needed a list of references, its own (C(name:tag)) last, those of the images it stands on before.
    type: list
    elements: list
    required: true
notes:
  - Both hosts are reached by the connection C(ssh) with a key, or C(local). Each needs Python 3, and its user, or the one that
    C(become) leads to, the rights on the Docker socket.
  - Where a task is delegated makes no difference.
seealso:
  - module: dockfra.core.image_routes
"""

EXAMPLES = r"""
- name: Send an image to the application's server
  dockfra.core.image_sent:
    source: management-server
    target: app-server
    chains:
      - [dockfra/base:0123456789abcdef, dockfra/db:fedcba9876543210]
  run_once: true
"""

RETURN = r"""
images:
  description: The references of the images that were sent.
  returned: success
  type: list
  elements: str
size:
  description: Bytes that went over the line.
  returned: success
  type: int
seconds:
  description: How long that took, unpacking included.
  returned: success
  type: float
"""
