#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_secrets
short_description: Bring keys and secrets to what a backup has of them
description:
  - Brings C(dockfra_state_dir) to what the backup has. What was there stays beside it, with C(.before-restore) at the end of its name.
  - Secrets come from where the platform of the backup kept them, files or Ansible Vault, and go to where this one does, see
    C(dockfra_vault_file). A vault of the backup needs its own password, which Ansible is given with C(--vault-id) as any other.
  - Works on the controller alone, and writes nothing before all of it was read.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says whether something differs, and changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  folder:
    description: Directory of a snapshot, see O(dockfra.core.backup_repository#module:state=fetched), in the file system of C(dockfra_state_dir).
    type: path
    required: true
  moved:
    description: Whether the backup is of a platform on other Docker hosts. By what these know this checkout of the project is kept then.
    type: bool
    default: false
  keep:
    description: Files in C(dockfra_state_dir) that stay as they are.
    type: list
    elements: path
    default: []
seealso:
  - module: dockfra.core.backup_routes
"""

EXAMPLES = r"""
- name: Bring keys and secrets back
  dockfra.core.backup_secrets:
    folder: /root/dockfra/.dockfra/local.restore-run
  run_once: true
"""

RETURN = r"""
before:
  description: What is kept of what was there, directories and files; empty where nothing was, or it was the same.
  returned: success
  type: list
  elements: str
vault:
  description: The file of Ansible Vault that was written.
  returned: when there is one
  type: str
"""
