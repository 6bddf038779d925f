#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_directory
short_description: Bring a directory of the controller to what a backup has of it
description:
  - Does nothing where it is the same. What was there stays beside it, with C(.before-restore) at the end of its name.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says whether it differs, and changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  folder:
    description: Directory of a snapshot, see O(dockfra.core.backup_repository#module:state=fetched).
    type: path
    required: true
  part:
    description: Name of the directory in the backup.
    type: str
    required: true
  path:
    description: The directory.
    type: path
    required: true
  keep:
    description: A file in it that stays as it is.
    type: path
"""

EXAMPLES = r"""
- name: Bring keys and secrets back
  dockfra.core.backup_directory:
    folder: /root/dockfra/.dockfra/local.restore-run
    part: state
    path: /root/dockfra/.dockfra/local
  delegate_to: localhost
"""

RETURN = r"""
before:
  description: Where what was there is kept; empty where nothing was, or it was the same.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.backups import snapshots
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "part": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "keep": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        changed, before = snapshots.put_back(
            params["folder"], params["part"], params["path"], params["keep"] or "", module.check_mode
        )
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])
        return
    except OSError as error:
        text = f"{params['path']} cannot be restored: {error}"
        module.fail_json(msg=text, dockfra_problems=[text])
        return
    module.exit_json(changed=changed, before=before)


if __name__ == "__main__":
    main()
