#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lock
short_description: Let one run at a time work on a platform
description:
  - Takes the platform's lock for the running C(ansible-playbook) process, or waits for whoever holds it and says who that is.
  - The lock lies on the host that the task is delegated to, which is where the work happens, in a directory of the user that
    the task runs as. So all who may work there see it, and nobody else can hold or forge it.
  - It needs no release. It is free as soon as its holder has ended, however it ended. Of a holder on another machine that
    cannot be seen; that one keeps it for two hours at most, unless the next run comes from the same machine. The
    message names the file to remove where somebody knows better.
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
  directory:
    description: Where locks are kept. It is made when missing.
    type: path
    default: /var/lib/dockfra/.locks
  wait:
    description: Seconds to wait for somebody else.
    type: int
    default: 600
  free:
    description: Names of further locks that have to be free, and are not taken.
    type: list
    elements: str
    default: []
  state:
    description: With V(absent) it is given back before the run ends; one of somebody else stays.
    type: str
    choices: [present, absent]
    default: present
    version_added: 0.4.0
  holder:
    description: The process that gets the lock. The action fills it in.
    type: dict
  gone:
    description: A holder that has ended, which cannot be seen from the host. The action fills it in.
    type: dict
"""

EXAMPLES = r"""
- name: One run at a time
  dockfra.core.run_lock:
    name: dockfra
  delegate_to: docker.example.com
  run_once: true
"""

RETURN = r"""
waited:
  description: Seconds waited for somebody else.
  returned: success
  type: float
other:
  description: Who has the lock, when that is not the caller.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.errors import LockBusyError, LockError
from ansible_collections.dockfra.core.plugins.module_utils.locks import work_lock


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "directory": {"type": "path", "default": work_lock.DIRECTORY},
            "wait": {"type": "int", "default": 600},
            "free": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "holder": {"type": "dict"},
            "gone": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    gone = work_lock.Holder.from_dict(module.params["gone"] or {})
    try:
        holder, waited = work_lock.given_holder(module.params["holder"]), 0.0
        if module.check_mode:
            pass
        elif module.params["state"] == "absent":
            work_lock.end_run(module.params["directory"], module.params["name"], holder)
        else:
            waited = work_lock.for_run(
                module.params["directory"],
                module.params["name"],
                holder,
                free=module.params["free"],
                wait=module.params["wait"],
                gone=gone,
            )
    except LockBusyError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)], other=error.other)
    except LockError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
    module.exit_json(changed=False, waited=waited)


if __name__ == "__main__":
    main()
