"""In the place of the Docker Engine: what the test has written down, whatever is asked, and the containers that a run has made since."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.errors import EngineError

OWN = "this platform"


def connect(timeout: int = 60) -> None:
    """There is nothing to connect to."""


def read_state(
    client: None, project: str, names: Sequence[str], images: Sequence[str], records: Mapping[str, str]
) -> dict[str, Any]:
    """The containers, networks, volumes and images that were asked for, all as declared."""
    state = json.loads(Path(os.environ["STAGED"], "engine.json").read_text())
    made = {path.stem: json.loads(path.read_text()) for path in _made().glob("*.json")}
    state["containers"] = {**state["containers"], **made}
    return {
        **state,
        **{
            kind: {name: found for name, found in state[kind].items() if name in names}
            for kind in ("containers", "networks")
        },
    }


def wait_ready(client: None, name: str, service: str, timeout: float, log_lines: int) -> None:
    """A container gets well at once, or never."""
    if json.loads((_made() / f"{name}.json").read_text())["status"] != "healthy":
        raise EngineError(f"{service} is not ready after {timeout:.0f} s. Its container {name} is unhealthy.")


def _made() -> Path:
    return Path(os.environ["STAGED"], "made")
