# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The labels by which a platform knows what is its own, and the hashes that stand in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

LABEL_PROJECT = "dockfra.project"
LABEL_SERVICE = "dockfra.service"
LABEL_CONFIG = "dockfra.config"
LABEL_REVISION = "dockfra.revision"

# On every image that a run made.
LABEL_MANAGED = "dockfra.managed"
# On every image that was built: the hash of what it is made from, which is its tag too.
LABEL_CONTENT = "dockfra.content"

# Those that a container has of its specification; others come from the image.
LABELS = {LABEL_PROJECT, LABEL_SERVICE, LABEL_CONFIG, LABEL_REVISION}


def digest(value: Any) -> str:
    """Return a short stable hash of any JSON-like value: 16 hex digits of SHA-256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def is_of(entry: Mapping[str, Any], project: str) -> bool:
    """Whether a container, network or volume, as the engine lists them, is of a platform."""
    return bool((entry.get("Labels") or {}).get(LABEL_PROJECT) == project)


def name_of(entry: Mapping[str, Any]) -> str:
    """Return the name of a container, as the engine lists them."""
    return str(entry["Names"][0]).lstrip("/")


def attached(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return which of these containers, as the engine lists them, are on which network."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        for network in (entry.get("NetworkSettings") or {}).get("Networks") or {}:
            found.setdefault(network, []).append(name_of(entry))
    return {network: sorted(names) for network, names in found.items()}
