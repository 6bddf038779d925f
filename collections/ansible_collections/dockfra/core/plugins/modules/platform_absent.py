#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_absent
short_description: Remove what a platform has on a Docker host
description:
  - Removes a platform's containers and networks, and on request its volumes and the images that nobody uses.
  - What somebody else uses stays, and is named in a warning. That is a network with a container on it, or a volume with a
    container that mounts it, which is not the platform's; an image on which a container of another platform stands; and all
    images while another platform is worked on.
  - An engine that does not answer has nothing to remove.
version_added: 0.3.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would go and removes nothing.
    support: full
  diff_mode:
    description: Lists what goes.
    support: full
options:
  project:
    description: Name of the platform; what has the label C(dockfra.project) of this value is removed.
    type: str
    required: true
  containers:
    description: Remove these containers only, and nothing else. All of the platform by default.
    type: list
    elements: str
  volumes:
    description: Remove volumes too.
    type: bool
    default: false
  images:
    description: Remove images too.
    type: bool
    default: false
  locks:
    description: Where the locks of the platforms are kept.
    type: path
    default: /var/lib/dockfra/.locks
  owner_file:
    description: File that names the checkout to which the platform belongs.
    type: path
  owner:
    description: Identity of the checkout that removes it. A platform of another one is refused. Any by default.
    type: str
  stop_timeout:
    description: Seconds a container has to end by itself.
    type: int
    default: 5
requirements:
  - Docker SDK for Python (docker) 7 or later
"""

EXAMPLES = r"""
- name: Remove the platform, and keep its data
  dockfra.core.platform_absent:
    project: dockfra
"""

RETURN = r"""
removed:
  description: Names of what went, by kind.
  returned: success
  type: dict
kept:
  description: What stays although it is the platform's, a sentence each.
  returned: success
  type: list
  elements: str
"""

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils.containers import engine, owner, removal, sdk
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, EngineError
from ansible_collections.dockfra.core.plugins.module_utils.locks import work_lock


def run(params: dict[str, t.Any], check_mode: bool) -> removal.Removal:
    """Return what went for the module's parameters; raises DockfraError."""
    try:
        client = sdk.connect()
    except EngineError:
        return removal.Removal()
    if params["owner"] and params["owner_file"]:
        state = engine.read_state(engine.connect(), params["project"])
        refused = owner.refusal(
            owner.read(params["owner_file"]),
            params["owner"],
            params["project"],
            "this Docker host",
            state["containers"],
        )
        if refused:
            raise DockfraError(refused)
    return removal.remove(
        client,
        params["project"],
        only=params["containers"],
        volumes=params["volumes"],
        images=params["images"],
        locks=params["locks"],
        stop_timeout=params["stop_timeout"],
        dry_run=check_mode,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "containers": {"type": "list", "elements": "str"},
            "volumes": {"type": "bool", "default": False},
            "images": {"type": "bool", "default": False},
            "locks": {"type": "path", "default": work_lock.DIRECTORY},
            "owner_file": {"type": "path"},
            "owner": {"type": "str"},
            "stop_timeout": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    if sdk.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=sdk.IMPORT_ERROR)
    try:
        done = run(module.params, module.check_mode)
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
        return
    for sentence in done.kept:
        module.warn(sentence)
    removed = {kind: names for kind, names in asdict(done).items() if kind != "kept"}
    before = "".join(f"{kind}: {', '.join(names)}\n" for kind, names in removed.items() if names)
    module.exit_json(
        changed=bool(done), removed=removed, kept=done.kept, diff={"before": before, "after": ""}
    )


if __name__ == "__main__":
    main()
