#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_state_info
short_description: Read everything a platform has on a Docker host at once
description:
  - Reads a platform's containers, networks, volumes and images, and the files mounted into its containers, in one process.
  - Used by the P(dockfra.core.plan#module) action to compare a platform with its inventory.
  - An engine that does not answer is a result, not a failure, because installing it may be the next step.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
options:
  project:
    description: Name of the platform; containers with the label C(dockfra.project) of this value are read.
    type: str
    required: true
  names:
    description: Names of containers, networks and volumes to read whether or not they carry the platform's label.
    type: list
    elements: str
    default: []
  images:
    description: Image references (C(name:tag)) to look up.
    type: list
    elements: str
    default: []
  directories:
    description: Directories whose files are fingerprinted, each with the uid that should own them.
    type: dict
    default: {}
  ports:
    description: Places on the host (C(address:port)) that are about to be published.
    type: list
    elements: str
    default: []
  owner_file:
    description: File that names the checkout to which the platform belongs.
    type: path
  sockets:
    description: Sockets of engines whose group is to be known.
    type: list
    elements: str
    default: []
    version_added: 0.4.0
  records:
    description: Short files of the platform's containers that are read, by the container's name.
    type: dict
    default: {}
    version_added: 0.4.0
  lock:
    description:
      - The platform's lock, taken before anything is read, as M(dockfra.core.run_lock) takes it.
      - Where somebody else has it nothing is read, and the module does not wait.
    type: dict
    version_added: 0.4.0
    suboptions:
      name:
        description: Name of the platform.
        type: str
        required: true
      directory:
        description: Where locks are kept. It is made when missing.
        type: path
        default: /var/lib/dockfra/.locks
      free:
        description: Names of further locks that have to be free, and are not taken.
        type: list
        elements: str
        default: []
      holder:
        description: The process that gets the lock.
        type: dict
        required: true
      gone:
        description: A holder that has ended, which cannot be seen from the host.
        type: dict
  timeout:
    description: Seconds to wait for an answer of the engine.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Read the state of the platform
  dockfra.core.docker_state_info:
    project: dockfra
    names: [dockfra-db, dockfra-backend-net, dockfra-db-data]
    images: [dockfra/db:0123456789abcdef]
  register: state
"""

RETURN = r"""
lock_holder:
  description: Who has the platform's lock.
  returned: when it was to be taken and is somebody else's; nothing else is returned then
  type: dict
engine_error:
  description: Why the engine does not answer; empty when it does.
  returned: always
  type: str
engine_version:
  description: Version of the engine.
  returned: when the engine answers
  type: str
containers:
  description: Per container name its status, whether it is the platform's own, and its settings.
  returned: when the engine answers
  type: dict
networks:
  description: Per network name of the platform its settings and the number of attached containers.
  returned: when the engine answers
  type: dict
volumes:
  description: Names of the platform's volumes.
  returned: when the engine answers
  type: list
  elements: str
images:
  description: Per wanted image reference that exists its id and defaults.
  returned: when the engine answers
  type: dict
records:
  description: Per container of O(records) that has the file what it says, up to 16 KiB.
  returned: when the engine answers
  type: dict
busy_ports:
  description: Per asked place that is in use who uses it, the platform's own containers left out.
  returned: always
  type: dict
owner:
  description: What O(owner_file) says; empty where there is none.
  returned: always
  type: dict
socket_groups:
  description: Per path of O(sockets) that is there the numeric id of its group.
  returned: always
  type: dict
files:
  description: Per directory the fingerprint of each file below it.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.containers import host
from ansible_collections.dockfra.core.plugins.module_utils.errors import LockBusyError, LockError
from ansible_collections.dockfra.core.plugins.module_utils.locks import work_lock


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
            "directories": {"type": "dict", "default": {}},
            "ports": {"type": "list", "elements": "str", "default": []},
            "owner_file": {"type": "path"},
            "sockets": {"type": "list", "elements": "str", "default": []},
            "records": {"type": "dict", "default": {}},
            "lock": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "directory": {"type": "path", "default": work_lock.DIRECTORY},
                    "free": {"type": "list", "elements": "str", "default": []},
                    "holder": {"type": "dict", "required": True},
                    "gone": {"type": "dict"},
                },
            },
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    lock = module.params.pop("lock")
    try:
        if lock and not module.check_mode:
            work_lock.try_for_run(lock)
    except LockBusyError as error:
        module.exit_json(changed=False, lock_holder=error.other)
    except LockError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
    module.exit_json(changed=False, **host.read(**module.params))


if __name__ == "__main__":
    main()
