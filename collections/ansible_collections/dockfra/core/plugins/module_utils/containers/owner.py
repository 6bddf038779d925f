# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which checkout of the project a platform on a Docker host belongs to.

It is written down in a file beside the platform's configuration there. A checkout is known by an identity that it keeps
with its keys, so it may be moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "owner.json"
_MAX_SIZE = 4096
_KEYS = {"id", "checkout", "who", "since"}


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the owner that a file names; empty where there is none."""
    try:
        with Path(path).open("rb") as file:
            values = json.loads(file.read(_MAX_SIZE))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict) or set(values) != _KEYS:
        return {}
    return {key: str(value) for key, value in values.items()}


def refusal(
    recorded: Mapping[str, str], identity: str, project: str, docker_host: str, containers: Mapping[str, Any]
) -> str:
    """Return why a checkout may not touch a platform, or an empty string where it may.

    Args:
        recorded: what `read` has found on the Docker host.
        identity: of the checkout.
        project: the platform.
        docker_host: the Docker host.
        containers: the containers there, as `engine.read_state` returns them. Without any of the platform nobody is
            locked out, so what is left of it, such as volumes, may be taken on.
    """
    if not recorded or recorded["id"] == identity or not any(entry["ours"] for entry in containers.values()):
        return ""
    return (
        f"The platform '{project}' on {docker_host} belongs to another checkout: {recorded['checkout']}, from which "
        f"{recorded['who']} has run it since {recorded['since']}. Work on it there, or choose another dockfra_project; "
        "or take it over with -e dockfra_takeover=true, which makes new keys and passwords and locks that checkout out."
    )
