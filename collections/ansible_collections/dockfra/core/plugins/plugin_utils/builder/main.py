# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The first process of a builder's container."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ...module_utils.errors import DockfraError
from ...module_utils.processes import tree
from . import means
from .server import Server

CONFIGURATION = Path("/etc/dockfra/builder/settings.json")

_PR_SET_DUMPABLE = 4  # prctl(2)


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve until one build has ended; ends this process with exit status 0, or 1 where it cannot serve."""
    path = Path(arguments[1]) if len(arguments) > 1 else CONFIGURATION
    _shut()
    try:
        asyncio.run(_run(path))
    except (DockfraError, OSError) as error:
        sys.stderr.write(f"builder: {error}\n")
    _end(1)


async def _run(path: Path) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, 0)
    await Server(means.load(path)).serve()
    _end(0)  # without a wait for threads that are at work


def _shut() -> None:
    """Let no process of the same user look into this one or change it, and leave no image of it on the disk."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getpid() != 1:
        tree.adopt()  # the first process has all of them anyway


def _end(status: int) -> NoReturn:
    """End at once: whatever is under way, nothing of it is needed any more. What was started ends with the container."""
    if os.getpid() != 1:
        tree.end()
    os._exit(status)
