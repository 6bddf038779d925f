# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON from elsewhere."""

from __future__ import annotations

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.answers.data import decoded
from ansible_collections.dockfra.core.plugins.module_utils.errors import TooMuchError


def test_json_is_read_as_it_is() -> None:
    assert decoded(b'{"a": [1, "\xc3\xa4"]}', 10) == {"a": [1, "ä"]}


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_none_is_one_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text, 1_000_000)


def test_finding_s4_few_bytes_do_not_become_much_memory() -> None:
    with pytest.raises(TooMuchError, match="more than 1000 values"):
        decoded(b"[" + b"[]," * 1000 + b"[]]", 1000)
