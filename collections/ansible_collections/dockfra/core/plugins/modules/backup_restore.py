#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_restore
short_description: Put what a backup holds in the place of a platform's data on this Docker host
description:
  - Step by step, as O(state) says. Killed at any point, V(undone) puts back what was.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  project:
    description: Name of the platform.
    type: str
    required: true
  state:
    description:
      - V(possible) looks whether there is room for O(size) bytes, and whether a restore before had come to its end but for old data.
      - V(prepared) puts everything beside what is there, and compares it with the backup.
      - V(stopped) has the platform stand still.
      - V(swapped) puts everything in its place.
      - V(started) starts the platform.
      - V(healthy) waits until all of it is.
      - V(decided) has it that nothing is undone from here on.
      - V(finished) removes the old data.
      - V(undone) puts back what was before, and removes what was prepared. Where there was anything, V(started) has to follow.
    type: str
    choices: [possible, prepared, stopped, swapped, started, healthy, decided, finished, undone]
    required: true
  folder:
    description: Directory with the archive and its manifest, for O(state=prepared).
    type: path
  volumes:
    description: The volumes, as M(dockfra.core.plan) returns them as C(backup_volumes).
    type: list
    elements: dict
    default: []
  remade:
    description: The volumes that begin anew, as M(dockfra.core.plan) returns them as C(remade_volumes).
    type: list
    elements: str
    default: []
  size:
    description: Bytes that are to be restored, for O(state=possible).
    type: int
    default: 0
  timeout:
    description: Seconds for which each service may take to become healthy.
    type: int
    default: 180
requirements:
  - Docker SDK for Python (docker) 7 or later
"""

EXAMPLES = r"""
- name: Put what was restored in its place
  dockfra.core.backup_restore:
    project: dockfra
    state: swapped
    volumes: "{{ dockfra_plan.results[0].backup_volumes }}"
"""

RETURN = r"""
changed:
  description: Whether anything was done.
  returned: success
  type: bool
decided:
  description: Whether an earlier restore had come to its end, and only the old data is still to be removed.
  returned: state=possible
  type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import Manifest, Source
from ansible_collections.dockfra.core.plugins.module_utils.backups.places import Host, check_room
from ansible_collections.dockfra.core.plugins.module_utils.backups.swap import Swap
from ansible_collections.dockfra.core.plugins.module_utils.containers import engine, sdk
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, EngineError

# Where an engine keeps everything, before there is one that says so.
_DATA_ROOT = "/var/lib/docker"
# What is restored stands in its archive, beside what is there, and as a database.
_TIMES = 4

_STATES = (
    "possible",
    "prepared",
    "stopped",
    "swapped",
    "started",
    "healthy",
    "decided",
    "finished",
    "undone",
)
# What needs no engine yet.
_ANY_TIME = ("possible", "undone")


def run(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Do a step and return the module's result; raises DockfraError, OSError."""
    project, state = params["project"], params["state"]
    try:
        if sdk.IMPORT_ERROR:
            raise EngineError("There is no Docker SDK for Python, so nothing of a platform either.")
        host = Host.connect(project)
    except EngineError:
        if state not in _ANY_TIME:
            raise
        # A new machine: there is nothing that could be undone.
        if state == "possible":
            check_room(_DATA_ROOT, _TIMES * params["size"], "what is restored")
        return {"changed": False, "decided": False}
    swap = Swap(host, [Source.from_dict(entry) for entry in params["volumes"]], params["remade"])
    if state == "possible":
        check_room(host.data_root(), _TIMES * params["size"], "what is restored")
        return {"changed": False, "decided": swap.decided()}
    if state == "undone":
        return {"changed": swap.undo()}
    if state == "healthy":
        client = engine.connect()
        for entry in host.containers():
            service = entry["name"].removeprefix(f"{project}-")
            engine.wait_ready(client, entry["name"], service, params["timeout"], 8)
        return {"changed": False}
    if state == "prepared":
        swap.prepare(Manifest.read(params["folder"]), params["folder"])
    else:
        steps = {
            "stopped": swap.stop,
            "swapped": swap.swap,
            "started": swap.start,
            "decided": swap.decide,
            "finished": swap.finish,
        }
        steps[state]()
    return {"changed": True}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": list(_STATES),
                "required": True,
            },
            "folder": {"type": "path"},
            "volumes": {"type": "list", "elements": "dict", "default": []},
            "remade": {"type": "list", "elements": "str", "default": []},
            "size": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 180},
        },
        required_if=[("state", "prepared", ["folder"])],
        supports_check_mode=True,
    )
    if sdk.IMPORT_ERROR and module.params["state"] not in _ANY_TIME:
        module.fail_json(msg=missing_required_lib("docker"), exception=sdk.IMPORT_ERROR)
    if module.check_mode and module.params["state"] != "possible":
        module.exit_json(changed=module.params["state"] not in ("healthy", "undone"))
    try:
        result = run(module.params)
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
        return
    except OSError as error:
        text = f"The data cannot be restored ({module.params['state']}): {error}"
        module.fail_json(msg=text, dockfra_problems=[text])
        return
    module.exit_json(**result)


if __name__ == "__main__":
    main()
