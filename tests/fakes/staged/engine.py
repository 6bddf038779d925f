"""In the place of the Docker Engine: what the test has written down, whatever is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OWN = "this platform"


def connect(timeout: int = 60) -> None:
    """There is nothing to connect to."""


def read_state(
    client: None, project: str, names: Sequence[str], images: Sequence[str], records: Mapping[str, str]
) -> dict[str, Any]:
    """The containers, networks, volumes and images that were asked for, all as declared."""
    state = json.loads(Path(os.environ["STAGED"], "engine.json").read_text())
    return {
        **state,
        **{
            kind: {name: found for name, found in state[kind].items() if name in names}
            for kind in ("containers", "networks")
        },
    }
