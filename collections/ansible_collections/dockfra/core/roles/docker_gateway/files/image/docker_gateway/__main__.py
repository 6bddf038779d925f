# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the gateway: ``python -m docker_gateway [CONFIGURATION]``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from docker_gateway.log import Log
from docker_gateway.server import serve

CONFIGURATION = Path("/etc/dockfra/docker-gateway/settings.json")


async def _run(path: Path) -> None:
    configuration = json.loads(path.read_bytes())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(configuration, Log(), stop)


def main() -> int:
    """Run until a signal, and return the exit status."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CONFIGURATION
    try:
        asyncio.run(_run(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"docker-gateway: it cannot serve: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
