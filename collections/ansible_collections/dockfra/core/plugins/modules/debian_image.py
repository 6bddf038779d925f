#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_image
short_description: Bootstrap a minimal Debian as a Docker image
description:
  - Makes an image from Debian packages alone, where no registry has one.
  - The engine gets the file system through its API, so no client program is needed.
  - An image of that name that is already there is left as it is.
version_added: 0.3.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says whether the image would be made, and makes nothing.
    support: full
options:
  name:
    description: Reference of the image (C(name:tag)).
    type: str
    required: true
  suite:
    description: Debian's release, such as V(trixie).
    type: str
    required: true
  packages:
    description: Packages beside the minimal ones.
    type: list
    elements: str
    default: [ca-certificates]
requirements:
  - Docker SDK for Python (docker) 7 or later
  - debootstrap, and the rights of root
"""

EXAMPLES = r"""
- name: Bootstrap a base image
  dockfra.core.debian_image:
    name: debian:trixie-slim
    suite: trixie
"""

RETURN = r"""
image:
  description: Id of the image; empty where check mode would have made it.
  returned: success
  type: str
"""

import atexit
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils.containers import images, sdk
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, EngineError

# What a registry's slim image leaves out too.
_LEFT_OUT = ("dev/*", "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*",
             "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*")  # fmt: skip
_PATIENCE = 600  # seconds for an answer of the engine, which unpacks all of it


def bootstrap(module: AnsibleModule, root: Path) -> None:
    """Unpack and configure Debian's packages below a directory."""
    packages = f"--include={','.join(module.params['packages'])}"
    program = module.get_bin_path("debootstrap", required=True)
    command = [program, "--variant=minbase", packages, module.params["suite"], str(root)]
    status, output, errors = module.run_command(command)
    if status:
        # Its reasons start with E:, and the last one is the one it gave up for.
        lines = (output + errors).strip().splitlines() or ["no output"]
        reason = ([line for line in lines if line.startswith("E:")] or lines)[-1]
        module.fail_json(
            msg=f"debootstrap could not make Debian {module.params['suite']}: {reason}", output=lines[-20:]
        )


def pack(module: AnsibleModule, root: Path) -> Path:
    """Put what the image is to have into an archive beside the directory."""
    archive = root.with_suffix(".tar")
    command = ["tar", "--create", "--file", str(archive), "--numeric-owner", "--directory", str(root)]
    command += [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    module.run_command([*command, "."], check_rc=True)
    return archive


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "suite": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": ["ca-certificates"]},
        },
        supports_check_mode=True,
    )
    if sdk.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=sdk.IMPORT_ERROR)
    name = module.params["name"]
    try:
        client = sdk.connect(timeout=_PATIENCE)
        if found := images.image_id(client, name):
            module.exit_json(changed=False, image=found)
        if module.check_mode:
            module.exit_json(changed=True, image="")
        place = Path(tempfile.mkdtemp(prefix="dockfra-debian-"))
        # debootstrap may leave a file system mounted there, whatever ends it.
        atexit.register(module.run_command, ["rm", "-rf", "--one-file-system", str(place)])
        bootstrap(module, place / "root")
        made = images.import_archive(client, pack(module, place / "root"), name)
    except EngineError as error:
        module.fail_json(msg=f"{name}: {error}")
    except DockfraError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, image=made)


if __name__ == "__main__":
    main()
