# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON from elsewhere, bounded in what it becomes in memory: a few bytes can stand for a hundred times as many."""

from __future__ import annotations

import json
from typing import Any

from ..errors import TooMuchError


def decoded(text: bytes, most: int) -> Any:
    """Return the data of a JSON text.

    Args:
        text: the text, in UTF-8.
        most: values that it may have.

    Raises:
        ValueError: it is no JSON, or nested too deeply to be read.
        TooMuchError: it has more values.
    """
    # Each value begins after one of these; a text that holds some counts for more than it is.
    if sum(text.count(sign) for sign in b"[{,:") > most:
        raise TooMuchError(f"it has more than {most} values")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
