# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ids of releases: one form, sorted by time; everything else is refused."""

from __future__ import annotations

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseInvalidError, UsageError
from ansible_collections.dockfra.core.plugins.module_utils.releases import ids

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_an_id_tells_time_and_commit() -> None:
    release = ids.new_id(COMMIT, 1_795_612_500)
    assert release == "20261125T131500Z-0123456789ab"
    assert ids.valid_id(release)
    assert ids.time_of(release) == 1_795_612_500
    assert ids.commit_of(release) == COMMIT[:12]


def test_ids_sort_by_time() -> None:
    made = [ids.new_id(commit * 40, when) for when, commit in ((3, "0"), (1, "f"), (2, "a"))]
    assert [ids.time_of(release) for release in sorted(made)] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "current",
        "..",
        "20261125T131500Z-0123456789AB",
        "20261125T131500Z-0123456789a",
        "20261125T131500Z-0123456789abc",
        "20261325T131500Z-0123456789ab",
        "20261125T131500-0123456789ab",
        "20261125T131500Z-0123456789ab\n",
        "../20261125T131500Z-0123456789ab",
        "\uff120261125T131500Z-0123456789ab",
    ],
)
def test_nothing_else_is_an_id(text: object) -> None:
    assert not ids.valid_id(text)
    with pytest.raises(ReleaseInvalidError, match="no release"):
        ids.checked_id(text)


@pytest.mark.parametrize("text", ["", "../x", "a/b", "A", "-a", "a" * 64, "a\n", None])
def test_nothing_else_names_a_service(text: object) -> None:
    with pytest.raises(UsageError):
        ids.checked_service(text)


@pytest.mark.parametrize("text", ["", "main", COMMIT[:39], COMMIT.upper(), COMMIT + "0", None])
def test_only_a_whole_hash_is_a_commit(text: object) -> None:
    with pytest.raises(UsageError):
        ids.new_id(text)  # type: ignore[arg-type]
