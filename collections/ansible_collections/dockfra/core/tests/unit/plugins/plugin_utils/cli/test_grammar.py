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
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar, tickets
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    AT,
    ROLES,
    VARIABLES,
    Platform,
    one_line,
)

POLICY = Policy(VARIABLES["dockfra_capabilities"], VARIABLES["dockfra_commands"])
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
     ("a\0b", "none of them NUL")],
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
    for line in str(shown.value).splitlines():
        assert len(line) <= 78 or line.startswith("  "), "only a line to copy may be longer than the terminal"


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


@pytest.mark.parametrize("role", ROLES)
def test_own_commands_are_those_of_the_policy_wherever_they_run_finding_u2(role: str) -> None:
    typed = {verb for verb, rule in VARIABLES["dockfra_commands"].items() if rule.get("on_path", True)}
    admitted = {verb for verb in typed if any(role in callers for callers in AT[verb].values())}
    existing = {command for _place, _folder, command in EXISTING}
    assert set(grammar.own(POLICY, role)) == admitted & existing


def test_commands_that_run_elsewhere_are_ones_own_too_finding_u2() -> None:
    assert {"ticket-show", "ticket-work"} <= set(grammar.own(POLICY, "developer"))
    assert {"ticket-create", "ticket-list", "ticket-update", "status"} <= set(
        grammar.own(POLICY, "autopilot")
    )
    assert "ticket-create" not in grammar.own(POLICY, "developer")
    assert grammar.own(POLICY, "nobody") == grammar.own(POLICY, "git") == []
    # A shell's own id, and what git asks a server for, stay what they are.
    assert not {"id", "git-upload-pack", "config-set"}.intersection(
        *(grammar.own(POLICY, role) for role in ROLES)
    )


# -- completion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "line", "offered"),
    [
        ("manager", "ticket-create --priority ", {"low", "normal", "high", "critical"}),
        ("manager", "ticket-create Fix --priority=hi", {"--priority=high"}),
        ("manager", "ticket-create --assign d", {"developer"}),
        ("manager", "ticket-update T-0001 --ass", {"--assign"}),
        ("manager", "ticket-list --assign no", {"none"}),
        ("manager", "ticket-show T-", {"T-0001", "T-0002", "T-0003"}),
        ("manager", "ticket-push T-0001 T-0002 T-0003", {"T-0003"}),
        ("manager", "ticket-update --close T-0002", {"T-0002"}),
        ("manager", "ticket-create --title-is-no-option ", None),
        ("manager", "ssh-to ", {"autopilot", "developer", "monitor"}),
        ("manager", "ssh-to monitor sta", {"status"}),
        ("manager", "config-monitor MONITOR_", {"MONITOR_POLL_INTERVAL=", "MONITOR_AUTO_DEPLOY="}),
        ("manager", "config-developer LLM_MODEL=x OPENROUTER_API", {"OPENROUTER_API_KEY"}),
        ("manager", "config-show dev", {"developer"}),
        ("developer", "ticket-work T-0", {"T-0001", "T-0002", "T-0003"}),
        ("developer", "my-tickets --status cl", {"closed"}),
        ("manager", "ticket-create --desc ", set()),
        ("manager", "ticket-show T-0001 T", set()),
    ],
)
def test_tab_knows_values_finding_u6(
    platform: Platform, role: str, line: str, offered: set[str] | None
) -> None:
    place = platform.place(role)
    name, *words = line.split(" ")
    found = set(grammar.find(name, place.policy.place(role, name), role).completions(place, words))
    if offered is None:
        assert "--priority" in found
    else:
        assert {word for word in found if not word.startswith("--") or "--" in words[-1]} == offered


def test_tab_offers_the_newest_of_many_tickets_and_reads_none_finding_u6(platform: Platform) -> None:
    for number in range(1, 10_001):
        (platform.tickets / f"T-{number:04d}.json").touch()
    place = platform.place("manager")
    complete = grammar.find("ticket-show", "manager", "manager").completions
    assert complete(place, ["T-"]) == [f"T-{number:04d}" for number in range(9_901, 10_001)]
    assert complete(place, ["T-012"]) == [f"T-{number:04d}" for number in range(120, 130)]


def test_without_tickets_tab_offers_none_finding_u6(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "DIRECTORY", platform.root / "nowhere")
    found = grammar.find("ticket-show", "manager", "manager").completions(platform.place("manager"), [""])
    assert all(word.startswith("--") for word in found)


# -- a text that was not quoted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "line", "meant"),
    [
        ("manager", "ticket-create two words", "ticket-create 'two words'"),
        (
            "manager",
            "ticket-create Add user auth --priority=high",
            "ticket-create 'Add user auth' --priority=high",
        ),
        ("manager", "ticket-create --priority high Add it", "ticket-create 'Add it' --priority high"),
        (
            "manager",
            "ticket-create Add --desc Implement JWT auth",
            "ticket-create Add --desc 'Implement JWT auth'",
        ),
        ("manager", "ticket-create Add --desc=Implement JWT", "ticket-create Add '--desc=Implement JWT'"),
        ("developer", "ticket-comment 1 it works now", "ticket-comment 1 'it works now'"),
        ("developer", "ticket-done 1 --comment All done", "ticket-done 1 --comment 'All done'"),
    ],
)
def test_words_that_ssh_took_the_quotes_from_finding_u8(role: str, line: str, meant: str) -> None:
    name, *words = line.split()
    command = grammar.find(name, "manager", role)
    with pytest.raises(UsageError) as wrong:
        command.parse(words)
    assert f"a text of several words is quoted: {meant};" in one_line(str(wrong.value))
    with pytest.raises(UsageError) as wrong:
        command.parse(words, "ssh-manager")
    right = one_line(str(wrong.value)).partition("quote the whole line once more: ")[2].rpartition("; try")[0]
    # A shell takes the first level, what sshd starts the second.
    assert right == f'ssh ssh-manager "{meant}"'
    [ssh, host, sent] = shlex.split(right)
    assert (ssh, host) == ("ssh", "ssh-manager")
    command.parse(shlex.split(sent)[1:])


@pytest.mark.parametrize(
    "line",
    [
        "ticket-show T-0001 T-0002",
        "ticket-list open",
        "config-developer a b",
        "ticket-create two words --no-such",
    ],
)
def test_other_words_too_many_are_no_question_of_quotes_finding_u8(line: str) -> None:
    name, *words = line.split()
    with pytest.raises(UsageError) as wrong:
        grammar.find(name, "manager", "manager").parse(words, "ssh-manager")
    assert "quote" not in str(wrong.value)


def test_a_word_that_a_shell_would_change_is_quoted_too_finding_u8() -> None:
    with pytest.raises(UsageError) as wrong:
        grammar.find("ticket-create", "manager", "manager").parse(["pay", "$5"], "ssh-manager")
    right = str(wrong.value).partition("once more: ")[2].rpartition("; try")[0]
    assert shlex.split(shlex.split(right)[2]) == ["ticket-create", "pay $5"]
