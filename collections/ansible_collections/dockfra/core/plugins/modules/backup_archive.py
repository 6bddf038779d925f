#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_archive
short_description: Copy what a backup takes of one place, and prove that it can be restored
description:
  - Makes an archive and a list of its parts from the volumes of a platform on this Docker host, while everything goes on; or from directories
    of the controller.
  - Files are read so that each is as it was at one moment, databases are dumped inside their server's container.
  - All of it is unpacked aside at once, and each database restored to one of another name, and compared.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Makes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  project:
    description: Name of the platform.
    type: str
    required: true
  folder:
    description: Directory for the archive. What is in it goes first.
    type: path
    required: true
  owner:
    description: Numeric uid of who fetches the archive; by default the caller's own.
    type: int
  place:
    description: Name of this Docker host in the inventory, for O(volumes).
    type: str
    default: ""
  volumes:
    description: The volumes, as M(dockfra.core.plan) returns them as C(backup_volumes).
    type: list
    elements: dict
    default: []
  directories:
    description: Directories instead of volumes, by the names of their parts.
    type: dict
    default: {}
  vault:
    description: The file of Ansible Vault with the platform's secrets, for O(directories). It has to be in one of them.
    type: path
requirements:
  - Docker SDK for Python (docker) 7 or later, for O(volumes)
"""

EXAMPLES = r"""
- name: Copy what lies on a Docker host
  dockfra.core.backup_archive:
    project: dockfra
    place: localhost
    folder: /var/lib/dockfra/.backup/dockfra
    volumes: "{{ dockfra_plan.results[0].backup_volumes }}"
"""

RETURN = r"""
parts:
  description: What was copied.
  returned: success, not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: The volume, directory, or volume and database.
      type: str
    files:
      description: Number of files, or of tables.
      type: int
    bytes:
      description: Their sizes together.
      type: int
    notes:
      description: What is wrong with the data itself, a sentence each.
      type: list
      elements: str
size:
  description: Bytes of the archive.
  returned: success, not in check mode
  type: int
"""

import os
import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils.backups import collection
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import Manifest, Source
from ansible_collections.dockfra.core.plugins.module_utils.backups.places import Host
from ansible_collections.dockfra.core.plugins.module_utils.containers import sdk
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError


def run(params: dict[str, t.Any]) -> Manifest:
    """Make the archive for the module's parameters; raises DockfraError, OSError."""
    if params["directories"]:
        return collection.of_directories(
            params["project"], params["directories"], params["folder"], params["vault"] or ""
        )
    owner = os.geteuid() if params["owner"] is None else params["owner"]
    return collection.of_host(
        Host.connect(params["project"]),
        params["place"],
        [Source.from_dict(entry) for entry in params["volumes"]],
        params["folder"],
        (owner, owner),
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "owner": {"type": "int"},
            "place": {"type": "str", "default": ""},
            "volumes": {"type": "list", "elements": "dict", "default": []},
            "directories": {"type": "dict", "default": {}},
            "vault": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if sdk.IMPORT_ERROR and not module.params["directories"]:
        module.fail_json(msg=missing_required_lib("docker"), exception=sdk.IMPORT_ERROR)
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        manifest = run(module.params)
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
        return
    except OSError as error:
        text = f"The backup could not be made in {module.params['folder']}: {error}"
        module.fail_json(msg=text, dockfra_problems=[text])
        return
    parts = [
        {key: asdict(part)[key] for key in ("name", "files", "bytes", "notes")} for part in manifest.parts
    ]
    for part in manifest.parts:
        for note in part.notes:
            module.warn(f"{part.name} was copied as it is, and is not as it should be: {note}")
    module.exit_json(changed=False, parts=parts, size=manifest.size)


if __name__ == "__main__":
    main()
