# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What an examination of a machine finds."""

from __future__ import annotations

from typing import NamedTuple

OK = "ok"
WARNING = "warning"
WRONG = "wrong"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        check: what was looked at, in one word.
        level: `OK`; `WARNING` where it works but a person should know; `WRONG` where the platform would not work.
        what: what there is.
        remedy: what to do about it; empty where nothing is to be done.
    """

    check: str
    level: str
    what: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """The finding as one sentence, or two."""
        return f"{self.what}. {self.remedy}" if self.remedy else f"{self.what}."


def size(number: float) -> str:
    """Return a number of bytes for people."""
    return f"{number / 1024**3:.1f} GiB"
