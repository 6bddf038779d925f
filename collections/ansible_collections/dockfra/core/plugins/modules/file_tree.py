#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: file_tree
short_description: Bring a directory to exactly the files it should hold
description:
  - Makes the files of a directory those given, each replaced atomically, and removes all others.
  - One call for many files, where M(ansible.builtin.copy) needs one for each.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing.
    support: full
  diff_mode:
    description: Lists the paths that change, never their content.
    support: full
options:
  path:
    description: The directory.
    type: path
    required: true
  files:
    description: Base64 C(content) and octal C(mode) by relative path.
    type: dict
    default: {}
  owner:
    description: Numeric uid and gid of the directory and all below it; by default the caller's own.
    type: int
  directory_mode:
    description: Octal mode of the directory and those below it.
    type: str
    default: "0700"
  state:
    description: Whether the directory should be there at all.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: One configuration file, and no other
  dockfra.core.file_tree:
    path: /var/lib/dockfra/dockfra/services/web
    owner: 10002
    files:
      settings.json:
        content: "{{ '{}' | b64encode }}"
        mode: "0400"
"""

RETURN = r"""
created:
  description: Paths made.
  returned: state=present
  type: list
  elements: str
updated:
  description: Paths whose content, mode or owner changed.
  returned: state=present
  type: list
  elements: str
removed:
  description: Paths removed.
  returned: state=present
  type: list
  elements: str
"""

import base64
import binascii
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, FileTreeError
from ansible_collections.dockfra.core.plugins.module_utils.files import tree as file_tree


def wanted_files(files: dict[str, t.Any]) -> dict[str, file_tree.WantedFile]:
    """Return the module's ``files`` option decoded; raises FileTreeError when an entry is malformed."""
    wanted = {}
    for path, entry in files.items():
        try:
            wanted[path] = file_tree.WantedFile(
                base64.b64decode(entry["content"], validate=True), int(entry["mode"], 8)
            )
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise FileTreeError(
                f"files[{path}] needs base64 'content' and an octal 'mode' ({error!r})."
            ) from error
    return wanted


def directory_mode(text: str) -> int:
    """Return the module's ``directory_mode`` option as a number; raises FileTreeError when it is malformed."""
    try:
        return int(text, 8)
    except ValueError as error:
        raise FileTreeError(f"directory_mode is '{text}'; write it in octal, like 0700.") from error


def change(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the directory to its state and return the module's result."""
    path = module.params["path"]
    if module.params["state"] == "absent":
        return {"changed": file_tree.remove(path, module.check_mode)}
    changes = file_tree.apply(
        path,
        wanted_files(module.params["files"]),
        module.params["owner"],
        directory_mode(module.params["directory_mode"]),
        module.check_mode,
    )
    before = [*changes.updated, *changes.removed]
    after = [*changes.updated, *changes.created]
    return {
        "changed": bool(changes),
        "created": changes.created,
        "updated": changes.updated,
        "removed": changes.removed,
        "diff": {
            "before": "".join(f"{name}\n" for name in before),
            "after": "".join(f"{name}\n" for name in sorted(after)),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "owner": {"type": "int"},
            "directory_mode": {"type": "str", "default": "0700"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**change(module))
    except DockfraError as error:
        module.fail_json(msg=str(error), dockfra_problems=[str(error)])


if __name__ == "__main__":
    main()
