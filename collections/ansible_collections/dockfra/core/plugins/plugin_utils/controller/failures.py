# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Turn a domain exception into the result of a failed task."""

from __future__ import annotations

from typing import Any

from ...module_utils.errors import DockfraError, TopologyError


def failed(result: dict[str, Any], error: DockfraError) -> dict[str, Any]:
    """Return ``result`` as failed; ``dockfra_problems`` lets the progress display show just what a person needs."""
    problems = error.problems if isinstance(error, TopologyError) else [str(error)]
    return {**result, "failed": True, "changed": False, "msg": str(error), "dockfra_problems": problems}
