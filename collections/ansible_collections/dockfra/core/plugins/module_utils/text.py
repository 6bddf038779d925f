# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Foreign values: in messages, with signs in them that nobody sees, and as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any


def shown(value: object) -> str:
    """Return a value for a message: one short line without control characters."""
    text = ascii(value[:60]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def finite(value: Any) -> float:
    """Return a value as a number that one can count with; raises ValueError or TypeError for any other.

    JSON has whole numbers of any length, and Python's reader takes NaN and Infinity, too.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("it is no number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("it is too large a number") from error
    if not math.isfinite(number):
        raise ValueError("it is no finite number")
    return number


def trimmed(text: str) -> str:
    """Return a text without blank lines at its ends and white space behind its last word; all else stays."""
    lines = text.rstrip().split("\n")
    while len(lines) > 1 and not lines[0].strip():
        del lines[0]
    return "\n".join(lines)


def invisible(text: str, allowed: str = "") -> str:
    """Return the code and name of the first sign of a text that nobody sees, or an empty string.

    These are white space other than space, tab and line feed, and formatting signs: those that have no width, join or
    part words, turn the direction of writing, or mark the order of bytes.
    """
    for sign in _hidden(text):
        if sign not in allowed:
            import unicodedata  # rarely needed

            return f"U+{ord(sign):04X} ({unicodedata.name(sign, 'without a name')})"
    return ""


def visible(text: str) -> bool:
    """Whether a person sees anything of a text."""
    hidden = {*_hidden(text)}
    return any(sign not in hidden and not sign.isspace() for sign in text)


def _hidden(text: str) -> Iterator[str]:
    if text.isascii():
        return
    import unicodedata  # rarely needed

    for sign in text:
        if sign != " " and (unicodedata.category(sign) in ("Cf", "Zs", "Zl", "Zp") or sign in _BLANKS):
            yield sign


# Letters and marks that are drawn as nothing.
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
