# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts on their way to GitHub call nobody, and come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.github.mentions import loud, quiet

MARK = "<!-- -->"


@pytest.mark.parametrize(
    "text",
    [
        "*alice",
        "ask *alice, (*octo/team) or **bob**: *alice",
        "> *alice\n\n- *alice\n1. *alice",
        "_*alice_ and/*alice",
        "- item\n\n    *alice goes on with the item",
        "a ` *alice",
        "`code` *alice `more`",
        "- a `\n- *alice ` b",
        r"\` *alice \`",
        "```\ncode\n```\n*alice",
        "~~~\n```\n~~~\n*alice",
        "words\n    *alice goes on with the paragraph",
        "<https://host/x>,*alice",
    ],
)
def test_whoever_would_be_called_is_not(text: str) -> None:
    assert quiet(text.replace("*alice", "@alice").replace("*octo", "@octo")) == text.replace(
        "*alice", f"@{MARK}alice"
    ).replace("*octo", f"@{MARK}octo")


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com",
        "5 @ 3, @, @!",
        "`@alice` and ``a ` @alice``",
        "```python\n@property\n```",
        "~~~~\n```\n@alice\n~~~\n@alice\n~~~~",
        "    @decorator\n    def f(): ...\n\n    @again",
        "words\n\n\t@decorator",
        "https://host/@alice/post",
        "[text](https://host/@alice)",
        "```\nnever closed\n@alice",
    ],
)
def test_what_calls_nobody_stays_as_it_is(text: str) -> None:
    assert quiet(text) == text


@given(st.text(st.sampled_from("@a` \n\t-~.\\/:"), max_size=60) | st.text(max_size=60))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert loud(quiet(text)) == text


@pytest.mark.parametrize(
    "piece", ["x", "@", "@a ", "`", "` ``", "`@a` ", "a:", "http://a@b ", "`http://@a` @b ", "\\`", "- ", "    ", "```\n", "\n"]
)  # fmt: skip
def test_the_longest_text_takes_no_longer_for_what_is_in_it(piece: str) -> None:
    """A search that begins anew from each sign would take minutes here."""
    text = piece * (65_536 // len(piece))
    assert loud(quiet(text)) == text
