"""A file that changes while its reader runs.

The backends have this file in common, to the byte: each is a build context and a release of its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK_SECONDS = 1.0

log = logging.getLogger("uvicorn.error")


async def follow(path: Path, changed: Callable[[], Awaitable[None]]) -> None:
    """Call ``changed`` whenever another file lies at a path, until cancelled."""
    seen = _mark(path)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        mark = _mark(path)
        # For a moment nothing may lie there.
        if mark is None or mark == seen:
            continue
        try:
            await changed()
            seen = mark
        except Exception as error:  # noqa: BLE001 - whatever it is: go on with what there was, and try again
            log.warning("%s has changed and cannot be used: %s", path, type(error).__name__)


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
