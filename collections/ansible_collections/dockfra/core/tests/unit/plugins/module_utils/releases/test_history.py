# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a rollback goes."""

from __future__ import annotations

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseNotFoundError
from ansible_collections.dockfra.core.plugins.module_utils.releases.history import IMAGE, as_of, before

ONE, TWO, THREE, FOUR = (f"2026112{day}T131500Z-0123456789ab" for day in range(1, 5))
THERE = [ONE, TWO, THREE, FOUR]


@pytest.mark.parametrize(
    ("current", "previous", "failed", "expected"),
    [
        (FOUR, THREE, (), THREE),
        # What served before need not be the newest before.
        (FOUR, ONE, (), ONE),
        # After one step back the next one goes further.
        (THREE, FOUR, (), TWO),
        (ONE, TWO, (), IMAGE),
        (ONE, "", (), IMAGE),
        (FOUR, THREE, (THREE,), TWO),
        # A previous release that was removed is none.
        (FOUR, "20200101T000000Z-000000000000", (), THREE),
        # As a kill between two links leaves them.
        (FOUR, FOUR, (), THREE),
        (TWO, ONE, (ONE,), IMAGE),
    ],
)
def test_a_rollback_goes_one_step_further_each_time(
    current: str, previous: str, failed: tuple[str, ...], expected: str
) -> None:
    assert before(current, previous, THERE, failed) == expected


def test_before_the_image_there_is_nothing() -> None:
    with pytest.raises(ReleaseNotFoundError, match="nothing"):
        before("", FOUR, THERE)


def test_what_served_at_the_time_of_a_release() -> None:
    assert as_of(TWO, THERE) == TWO
    assert as_of("20261122T235959Z-ffffffffffff", THERE) == TWO
    assert as_of("20200101T000000Z-000000000000", THERE) == IMAGE
