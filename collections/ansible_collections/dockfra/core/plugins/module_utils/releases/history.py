# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of a service's releases a rollback goes back to. An empty id stands for what its image brought."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import ReleaseNotFoundError
from .ids import valid_id

IMAGE = ""


def before(current: str, previous: str, there: Sequence[str], failed: Collection[str] = ()) -> str:
    """Return what served before the current release, of what is there still.

    Args:
        current: the release that serves.
        previous: the release that the link of that name leads to; empty without one.
        there: the ids of all releases.
        failed: those that nobody goes back to.

    Raises:
        ReleaseNotFoundError: there is none before what the image brought.
    """
    if not current:
        raise ReleaseNotFoundError("what its image brought serves, and before that there was nothing")
    # Where it is newer, the last step was one back already.
    if previous in there and previous < current and previous not in failed:
        return previous
    older = [release for release in sorted(there) if release < current and release not in failed]
    return older[-1] if older else IMAGE


def as_of(release: str, there: Sequence[str]) -> str:
    """Return what a service served when a release was made: that one, or the newest that is older.

    Args:
        release: an id.
        there: the ids of all releases of the service.
    """
    known = [other for other in sorted(there) if valid_id(other) and other <= release]
    return known[-1] if known else IMAGE
