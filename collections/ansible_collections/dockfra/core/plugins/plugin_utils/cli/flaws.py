# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Flaws of commits that are let through wherever objects are checked.

What the origin takes each copy of it has to take, too: one commit that a copy refuses would keep it from all that comes later.
"""

from __future__ import annotations

# What old history has and git itself reads without trouble: flaws of dates, of names, and of the way a mode was written.
# None of them changes which files a checkout makes, or where.
_TOLERATED = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)


def tolerated(command: str) -> dict[str, str]:
    """Return git's settings by which a command checks objects, and lets these flaws through.

    Args:
        command: ``receive`` or ``fetch``.
    """
    return {f"{command}.fsckObjects": "true", **{f"{command}.fsck.{flaw}": "ignore" for flaw in _TOLERATED}}
