# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Send files that exist on the controller only to a directory on a host."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ...module_utils.files.tree import WantedFile


def send(
    action: ActionBase, task_vars: dict[str, Any], path: str, files: Mapping[str, WantedFile], **options: Any
) -> dict[str, Any]:
    """Run ``dockfra.core.file_tree`` for files in memory and return its result."""
    encoded = {
        name: {"content": base64.b64encode(file.content).decode(), "mode": f"{file.mode:04o}"}
        for name, file in files.items()
    }
    return action._execute_module(
        module_name="dockfra.core.file_tree",
        module_args={"path": path, "files": encoded, **options},
        task_vars=task_vars,
    )
