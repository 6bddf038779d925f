# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A process that does one cycle in a small world, and kills itself at a step of it where it is told to."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.approvals import Approvals
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import Ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import effects, playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.cycle import Pilot
from ansible_collections.dockfra.core.tests.unit.pilot_world import World
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

ROOT = COLLECTIONS.parent

# What a cycle is made of: before and after each of these is a step.
STEPS: tuple[tuple[Any, str], ...] = (
    (playbook, "run"),
    (playbook, "clean"),
    (Ledger, "begin"),
    (Ledger, "end"),
    (Ledger, "note"),
    (AuditLog, "append"),
    (Approvals, "ask"),
    (Approvals, "take"),
)


def command(folder: Path, step: int = 0) -> list[str]:
    """Return the command for a cycle in a world that dies at a step; 0 for none."""
    code = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main()"
    return [sys.executable, "-c", code, str(COLLECTIONS), str(folder), str(step)]


def main() -> None:
    folder, last = Path(sys.argv[2]), int(sys.argv[3])
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepped(work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def done(*words: Any, **names: Any) -> Any:
            step()
            answer = work(*words, **names)
            step()
            return answer

        return done

    for owner, name in STEPS:
        setattr(owner, name, stepped(getattr(owner, name)))
    effects.PAUSE = 0.1
    report = Pilot(World.of(folder, ROOT).means()).cycle("child")
    print(count, len(report.decisions))
