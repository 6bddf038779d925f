# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An end is told in words, whatever it was."""

from __future__ import annotations

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor.instance import how_ended


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "with status 0"),
        (3, "with status 3"),
        (-9, "by SIGKILL"),
        # Real-time signals have no names but for the first and the last.
        (-35, "by signal 35"),
        (-40, "by signal 40"),
        (-63, "by signal 63"),
    ],
)
def test_each_end_has_words(status: int, said: str) -> None:
    assert how_ended(status) == said
