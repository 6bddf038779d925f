# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Send commits: what git asks for behind clone, fetch and pull."""

from __future__ import annotations

from ...cli.call import Call
from ...cli.repositories import add_repository, serve

EXAMPLES: list[str] = ["git clone git:app.git"]

# Seconds; a large repository over a slow line takes its time.
TIME_LIMIT = 3600.0

arguments = add_repository


def stream(call: Call) -> int:
    return serve(call, "upload-pack")
