#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_repository
short_description: Bring backups into a repository of restic and out of it
description:
  - V(stored) makes the repository when it is missing, stores a directory, reads all of it back, compares, and removes old snapshots.
  - V(fetched) brings a snapshot into a directory, and fails where something of it is missing or damaged.
  - V(present) looks whether the repository is there and opens with the password, and names its snapshots.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Stores nothing, and fetches nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  repository:
    description: A directory, or any address that restic knows. Never with a password in it.
    type: str
    required: true
  password_file:
    description: The file with the repository's password, which only its owner may read.
    type: path
    required: true
  make_password:
    description:
      - Whether O(password_file) is made where it is missing. It is not where the repository is a directory that is there already.
    type: bool
    default: false
  environment_file:
    description: A file with lines C(NAME=value) for restic, such as keys of an object store, which only its owner may read.
    type: path
  project:
    description: Name of the platform.
    type: str
    required: true
  state:
    description: What is to be done.
    type: str
    choices: [present, stored, fetched]
    default: present
  folder:
    description: Directory that is stored, or that the snapshot comes into. That one is emptied first.
    type: path
  snapshot:
    description: V(latest), or the id of a snapshot, for O(state=fetched).
    type: str
    default: latest
  keep:
    description: Snapshots that are kept, by period (C(daily), C(weekly), C(monthly)); C(0) of all keeps everything.
    type: dict
    default: {}
requirements:
  - restic 0.14 or later
"""

EXAMPLES = r"""
- name: Store what was copied
  dockfra.core.backup_repository:
    state: stored
    repository: sftp:backup@example.com:dockfra
    password_file: /root/backup-password
    project: dockfra
    folder: /root/dockfra/.dockfra/local.backup-run
    keep: {daily: 7, weekly: 4, monthly: 6}
  delegate_to: localhost
"""

RETURN = r"""
snapshot:
  description: Id of the snapshot.
  returned: state=stored, state=fetched
  type: str
time:
  description: When it was made, as RFC 3339.
  returned: state=stored, state=fetched
  type: str
made:
  description: Whether the repository was made.
  returned: state=stored
  type: bool
removed:
  description: How many old snapshots went.
  returned: state=stored
  type: int
places:
  description: The Docker hosts in the snapshot.
  returned: state=fetched
  type: list
  elements: str
sizes:
  description: Bytes of the archives, by Docker host.
  returned: state=fetched
  type: dict
snapshots:
  description: The snapshots there are, the oldest first; none where there is no repository.
  returned: state=present
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.backups import restic, snapshots
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import CONTROLLER
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError


def run(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Return the module's result; raises DockfraError, OSError."""
    made = params["make_password"] and not check_mode
    if made:
        made = restic.make_password(params["password_file"], params["repository"])
    repository = restic.Repository(
        params["repository"], params["password_file"], params["environment_file"] or ""
    )
    project = params["project"]
    if params["state"] == "stored" and not check_mode:
        keep = {period: int(number) for period, number in params["keep"].items()}
        done = snapshots.store(repository, params["folder"], project, keep)
        return {
            "changed": True,
            "snapshot": done.snapshot.id,
            "time": done.snapshot.time,
            "made": done.made,
            "removed": done.removed,
        }
    if params["state"] == "fetched" and not check_mode:
        snapshot, found = snapshots.fetch(repository, params["snapshot"], params["folder"], project)
        places = [place for place in found if place != CONTROLLER]
        return {
            "changed": False,
            "snapshot": snapshot.id,
            "time": snapshot.time,
            "places": places,
            "sizes": {place: found[place].size for place in places},
        }
    listed = repository.snapshots(project) if repository.exists() else []
    return {"changed": made, "snapshots": [{"id": each.id, "time": each.time} for each in listed]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "password_file": {"type": "path", "required": True, "no_log": False},
            "make_password": {"type": "bool", "default": False, "no_log": False},
            "environment_file": {"type": "path"},
            "project": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "stored", "fetched"], "default": "present"},
            "folder": {"type": "path"},
            "snapshot": {"type": "str", "default": "latest"},
            "keep": {"type": "dict", "default": {}},
        },
        required_if=[("state", "stored", ["folder"]), ("state", "fetched", ["folder"])],
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
        return
    except OSError as error:
        text = f"The backup cannot be read or written: {error}"
        module.fail_json(msg=text, dockfra_problems=[text])
        return
    module.exit_json(**result)


if __name__ == "__main__":
    main()
