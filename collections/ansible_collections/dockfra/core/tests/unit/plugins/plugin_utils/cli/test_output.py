# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Text for people: nothing a terminal would obey, tables that fit, colours only where meant."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import tickets
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import (
    Style,
    cell_width,
    cut,
    is_terminal,
    printable,
    table,
    wrapped,
    write,
)

ANY = st.text(st.characters(exclude_categories=()))
COLOUR = re.compile(r"\x1b\[(?:0|1|2|31|32|33|36)m")


@given(ANY)
def test_printable_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = COLOUR.sub("", printable(text))
    assert not [sign for sign in shown if ord(sign) < 32 and sign not in "\t\n"]
    assert not re.search("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", shown)
    shown.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_printable_changes_no_ordinary_text(text: str) -> None:
    assert printable(f"{text}\t\n{text}") == f"{text}\t\n{text}"


@given(ANY)
def test_json_means_the_same_afterwards(text: str) -> None:
    assert json.loads(printable(json.dumps({"x": text}, ensure_ascii=False))) == {"x": text}


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x1b]0;x\x07", "\x1b[8m", "\x1b[31", "\x9b31m", "\x1b[31;1m", "\x1b\x1b[31m"]
)
def test_only_the_own_colours_reach_a_terminal(text: str) -> None:
    assert "\x1b" not in COLOUR.sub("", printable(text))
    assert "\\u00" in printable(text)


def test_write_is_utf_8_whatever_the_stream_thinks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    stream.write("before\n")
    write(stream, "Für 你好 \udcff")
    assert raw.getvalue().decode() == "before\nFür 你好 \\udcff\n"


@given(ANY, st.integers(1, 60))
def test_cut_never_takes_more_columns(text: str, width: int) -> None:
    short = cut(text, width)
    assert cell_width(short) <= width
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_cut_of_a_very_long_text_is_no_work() -> None:
    assert cut("你" * 1_000_000, 5) == "你你…"


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("你好", 4), ("e\u0301", 1), ("a\u200bb", 2), ("🦊", 2), ("", 0), ("a\u20dd", 1)],
)
def test_cell_width(text: str, columns: int) -> None:
    assert cell_width(text) == columns


@given(st.lists(st.tuples(ANY, ANY, ANY), max_size=5), st.integers(0, 200))
def test_every_row_of_a_table_has_its_columns_in_line(rows: list[tuple[str, str, str]], width: int) -> None:
    rows = [(a.replace("\n", ""), b.replace("\n", ""), c.replace("\n", "")) for a, b, c in rows]
    text = table(Style(width=width), ("A", "B", "C"), rows)
    assert text.count("\n") == len(rows)


def test_a_table_with_colours_is_as_wide_as_without() -> None:
    rows = [("T-0001", "open"), ("T-0002", "closed")]
    plain = table(Style(), ("ID", "STATUS"), rows)
    coloured = table(Style(colour=True), ("ID", "STATUS"), rows, {"closed": "dim"})
    assert coloured != plain
    assert COLOUR.sub("", coloured) == plain


def test_style_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Style.of(io.StringIO()) == Style(False, 100)
    assert Style.of(None) == Style(False, 100)
    assert Style.of(Terminal()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Style.of(Terminal()).colour
    assert is_terminal(Terminal())
    assert not is_terminal(None)


def test_paint() -> None:
    assert Style(colour=True).paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert Style(colour=True).paint("x", "") == "x"
    assert Style(colour=True).paint("", "red") == ""
    assert Style().paint("x", "red") == "x"


def test_wrapped_keeps_line_breaks_and_width() -> None:
    text = wrapped("one\n\n" + "word " * 60, Style(width=40))
    assert text.splitlines()[:2] == ["  one", ""]
    assert all(len(line) <= 40 for line in text.splitlines())


@pytest.mark.parametrize("style", [Style(), Style(colour=True), Style(colour=True, width=1)])
@pytest.mark.parametrize(
    "changes", [{}, {"status": "closed", "priority": "critical"}, {"labels": ["a", "b"]}]
)
def test_a_ticket_looks_the_same_with_and_without_colours(style: Style, changes: dict[str, Any]) -> None:
    ticket = {
        "id": "T-0001",
        "title": "Fix",
        "status": "open",
        "priority": "normal",
        "assigned_to": None,
        "labels": [],
        "created_at": "2026-11-22T10:00:00.000000Z",
        "updated_at": "2026-11-22T10:00:00.000000Z",
        "created_by": "manager",
        "github_issue_number": None,
        "description": "More",
        "comments": [{"author": "developer", "text": "Done", "timestamp": "2026-11-22T10:00:00.000000Z"}],
        **changes,
    }
    shown = COLOUR.sub("", tickets.render_ticket(ticket, style))
    assert shown == tickets.render_ticket(ticket, Style(width=style.width))
    listed = tickets.render_listing({"tickets": [ticket], "damaged": []}, style)
    assert "T-0001" in COLOUR.sub("", listed)
