# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The Python libraries of commands: an environment of the image that a command opens when it needs one of them.

The other commands start without it, and as fast as Python does.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Made by the role dockfra.core.libraries.
ENVIRONMENT = Path("/usr/local/lib/dockfra/venv")


def enable() -> None:
    """Let the imports that follow find the libraries, after all that Python has itself."""
    for folder in ENVIRONMENT.glob("lib/python3.*/site-packages"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
