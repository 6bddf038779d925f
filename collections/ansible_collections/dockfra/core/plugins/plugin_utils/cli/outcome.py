# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How a command ended."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        status: exit status.
        text: what is printed on standard output.
        message: the line for standard error, if any.
    """

    status: int
    text: str = ""
    message: str = ""
