# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of releases and of services.

A release's id is ``<UTC time>-<12 hex digits of the commit>``, for example ``20261125T131500Z-0123456789ab``. Ids sort as
text by their time.
"""

from __future__ import annotations

import calendar
import re
import time

from ..errors import ReleaseInvalidError
from ..text import shown

_ID = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{12})", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_TIME = "%Y%m%dT%H%M%SZ"


def new_id(commit: str, now: float | None = None) -> str:
    """Return the id of a release.

    Args:
        commit: the whole hash of the commit it is made of.
        now: seconds since the epoch, by default those of this moment.

    Raises:
        ReleaseInvalidError: that is no hash, or a time that no id can say.
    """
    stamp = time.strftime(_TIME, time.gmtime(now))
    return checked_id(f"{stamp}-{checked_commit(commit)[:12]}")


def valid_id(text: object) -> bool:
    """Whether a value is the id of a release."""
    found = _ID.fullmatch(text) if isinstance(text, str) else None
    return found is not None and _seconds(found[1]) is not None


def checked_id(text: object) -> str:
    """Return a value that is an id; raises ReleaseInvalidError for any other."""
    if isinstance(text, str) and valid_id(text):
        return text
    raise ReleaseInvalidError(f"{shown(text)} is no release; one looks like 20261125T131500Z-0123456789ab.")


def checked_commit(text: object) -> str:
    """Return a value that is the whole hash of a commit; raises ReleaseInvalidError for any other."""
    if isinstance(text, str) and _HASH.fullmatch(text):
        return text
    raise ReleaseInvalidError(f"{shown(text)} is no commit; its whole hash is needed, 40 hex digits.")


def checked_tree(text: object) -> str:
    """Return a value that is git's whole name of a directory; raises ReleaseInvalidError for any other."""
    if isinstance(text, str) and _HASH.fullmatch(text):
        return text
    raise ReleaseInvalidError(f"{shown(text)} is no tree; its whole hash is needed, 40 hex digits.")


def checked_service(text: object) -> str:
    """Return a value that can name a service and its directory; raises ReleaseInvalidError for any other."""
    if isinstance(text, str) and _SERVICE.fullmatch(text):
        return text
    raise ReleaseInvalidError(f"{shown(text)} cannot name a service; use a-z, 0-9 and '-'.")


def commit_of(release: str) -> str:
    """Return the first 12 hex digits of the commit that a release is made of."""
    return checked_id(release)[-12:]


def time_of(release: str) -> int:
    """Return when a release was made, in seconds since the epoch."""
    return _seconds(checked_id(release)[:16]) or 0


def _seconds(stamp: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(stamp, _TIME))
    except ValueError:
        return None
