# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Deploy the frontend.

What a commit changes is built and tested apart, shipped, started beside what serves, and takes over when it has proved itself. Where anything of that
fails, what served before serves.
"""

from __future__ import annotations

from typing import Any

from ...cli.call import Call
from ...deploys import face

EXAMPLES: list[str] = ["deploy-frontend", "deploy-frontend 0123456789ab", "deploy-frontend main --dry-run"]
STREAMS = True
TIME_LIMIT = face.TIME_LIMIT

arguments = face.arguments
changes = face.changes
render = face.render


def run(call: Call) -> dict[str, Any]:
    return face.deploy(call, "frontend")
