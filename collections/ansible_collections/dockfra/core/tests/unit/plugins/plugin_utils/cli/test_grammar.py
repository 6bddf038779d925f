# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lines become words, words become options, and nothing is expanded on the way."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import DeniedError, UsageError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import AT, one_line

WORDS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=50)
EXISTING = sorted(
    (place, path.parent.name, path.stem.replace("_", "-"))
    for path in Path(grammar.COMMANDS).glob("*/*.py")
    for command in [path.stem.replace("_", "-")]
    for place, callers in AT.get(command, {}).items()
    if path.parent.name in (place, "common", *callers)
)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_words_arrive_as_they_were_sent(words: list[str]) -> None:
    assert grammar.split(shlex.join(words)) == words


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_line_has_words_or_is_refused(line: str) -> None:
    try:
        found: list[str] | UsageError = grammar.split(line)
    except UsageError as error:
        found = error
    if isinstance(found, UsageError):
        assert len(str(found)) < 300
        assert str(found).isprintable()
    else:
        assert found == shlex.split(line)


@pytest.mark.parametrize(
    "line", ["a $(id)", "a `id`", "a *", "a ~", "a $HOME", "a {b,c}", "a !b", "a #b", "a ;b", "a >b"]
)
def test_nothing_is_expanded(line: str) -> None:
    assert grammar.split(line) == line.split(" ")


@pytest.mark.parametrize("size", [grammar.MAX_LINE + 1, 1024 * 1024, 8 * 1024 * 1024])
@pytest.mark.parametrize("sign", ["x", "'", " ", "\n", "🦊"])
def test_a_line_that_is_too_long_is_refused_before_it_is_read(size: int, sign: str) -> None:
    with pytest.raises(UsageError, match="has at most"):
        grammar.split(sign * size)


@pytest.mark.parametrize(
    ("line", "said"),
    [("", "there is no command"), (" \n ", "there is no command"), ("'", "do not match"), ("a \\", "do not match"),
     ("a\0b", "none of them NUL"), ("a \udcff", "is no UTF-8 text")],
)  # fmt: skip
def test_lines_that_cannot_be_meant(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        grammar.split(line)


@pytest.mark.parametrize(("place", "folder", "command"), EXISTING)
def test_every_command_has_help_of_its_own(place: str, folder: str, command: str) -> None:
    found = grammar.find(command, place, folder if folder != "common" else place)
    assert found.summary
    assert len(found.summary) <= 100
    assert found.examples
    for words in (["--help"], ["-h"], ["--json", "--help"]):
        with pytest.raises(grammar.HelpShown) as shown:
            found.parse(words)
        assert command in str(shown.value)
        assert "Examples:" in str(shown.value)
    assert "--json" in found.words()


@pytest.mark.parametrize(("place", "folder", "command"), EXISTING)
def test_wrong_words_are_one_error_and_never_an_exit(
    place: str, folder: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = grammar.find(command, place, folder if folder != "common" else place)
    # Words that no command takes; what ssh-to takes is for the other side.
    for words in (["--no-such"], ["--jso"], ["--json=x"], ["--version"], ["-x"]):
        with pytest.raises(UsageError) as wrong:
            found.parse(words)
        assert str(wrong.value).endswith(f"; try {command} --help")
        one_line(" ".join(str(wrong.value).split()))
    assert capfd.readouterr() == ("", "")


def test_a_file_is_never_read_for_arguments(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("--json\n")
    found = grammar.find("ticket-create", "manager", "autopilot")
    options = found.parse([f"@{tmp_path}/words"])
    assert (options.title, options.json) == (f"@{tmp_path}/words", False)


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_words_are_options_or_an_error_of_usage(words: list[str]) -> None:
    for command, place, caller in (
        ("ticket-create", "manager", "autopilot"),
        ("ticket-done", "manager", "developer"),
    ):
        with contextlib.suppress(UsageError, grammar.HelpShown):
            grammar.find(command, place, caller).parse(words)


@pytest.mark.parametrize("command", ["no-such", "../manager/ticket-list", "__init__", "ticket-list.py", ""])
def test_there_is_no_other_command(command: str) -> None:
    with pytest.raises(DeniedError):
        grammar.find(command, "manager", "autopilot")


def test_own_commands_are_those_of_the_directory() -> None:
    assert "ticket-create" in grammar.own("manager")
    assert grammar.own("nobody") == []
