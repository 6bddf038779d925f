# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts on their way to GitHub call nobody, and come back as they were."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.github.mentions import loud, quiet

MARK = "<!-- -->"


@pytest.mark.parametrize(
    "text",
    [
        "*alice",
        "ask *alice, (*octo/team) or **carol**: *alice",
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
        # A span of code, and no fence: all that follows is text.
        "```npm i``` fails, *bob please look\n*alice too",
        # Cells of a table and links end where they end.
        "|a|b|\n|-|-|\n|https://host|*alice|",
        "[x](https://host),*alice",
        "https://host,*alice",
        "| `a | *alice ` |",
        # What is indented below a footnote or an item belongs to it, a fence as well.
        "[^1]: note\n\n    *alice",
        "- a\n\n  ```\n  x\n\n*alice",
        # In HTML nothing is code.
        "<div>\n```\n*alice\n```",
        "<pre>\n\n```\n*alice",
        "<b title='`'> *alice `",
    ],
)
def test_whoever_would_be_called_is_not(text: str) -> None:
    called = re.compile(r"\*(alice|octo|bob)")
    assert quiet(called.sub(r"@\1", text)) == called.sub(rf"@{MARK}\1", text)


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
        "- a\n\n```python\n@property\n```",
        "<!-- note -->\n```\n@property\n```",
        "<details>\n\n```\n@property\n```\n\n</details>",
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
