# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Foreign values in messages."""

from __future__ import annotations


def shown(value: object) -> str:
    """Return a value for a message: one short line without control characters."""
    text = ascii(value[:60]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
