# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lines that somebody could send to a gate, and what has to come of them by the policy's file."""

from __future__ import annotations

import shlex

from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.plugin_utils.cli.grammar import HELP
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import AT, CALLERS, PLACES

OK, FAILED, USAGE, DENIED, LATE = 0, 1, 2, 77, 124

# -- lines ---------------------------------------------------------------------------------------------------------------

# What would make this file, were any word of a line executed or opened.
TRACE = "dockfra-was-here"
TRACES = [pattern.format(f"{folder}/{TRACE}") for folder in ("/tmp", "~", "/shared/tickets") for pattern in
          (";touch {};", "$(touch {})", "`touch {}`", "\ntouch {}\n", ">{}", "|tee {}", "() {{ :; }}; touch {}", "--output={}",
           "-oProxyCommand=touch {}")]  # fmt: skip
VERBS = sorted(AT)
FOREIGN = ["sh", "bash", "rm", "cat", "python3", "scp", "sftp-server", "internal-sftp", "rsync", "git", "env", "gate",
           "TICKET-LIST", "ticket_list", "ticket-list ", "../ticket-list", "/bin/sh", "./id", "commands", "common",
           "__init__", "os.system", "-c", "--json", "--help", "", "exit", "dockfra-refuse", "manager/ticket_list"]  # fmt: skip
SHELL = [";", "&&", "||", "|", "&", ">", ">>", "<", "<<EOF", "`id`", "$(id)", "$(rm -rf /)", "${IFS}", "$PATH", "*", "?", "[a-z]*",
         "~", "~root", "{a,b}", "!", "#", "\\", "'", '"', "''", "$'\\n'", "%s%n", "(id)", ">/tmp/pwned", "2>&1", "\n", "\r\n",
         "\x1b[2J", "\x07", "\x08", "\x7f", "\x9b2J", "\u2028", "\u202e", "\u2066", "\ufeff", "\u0000", "\ud800", "\udcff"]  # fmt: skip
OPTIONS = ["--json", "--json=x", "--json=/etc/passwd", "--help", "-h", "--", "-", "-oProxyCommand=id", "-oProxyCommand", "-F", "-e",
           "@/etc/passwd", "@file", "--status", "--status=open", "--status=", "--priority", "high", "--prio", "--assign", "--assign=none",
           "developer", "none", "--label", "--text", "--sort", "updated", "--reverse", "--comment", "--desc", "--desc=-", "--upload-pack=id",
           "--exec=id", "--dry-run", "-1", "--no-such", "--json --json"]  # fmt: skip
VALUES = ["T-0001", "T-0002", "T-9999", "T-1", "t-0001", "T-0001.json", "../T-0001", "T-0001/../T-0002", "/etc/passwd", "T-\u0660\u0660\u0660\u0661",
          "T-0001\n", "../../../../etc/passwd", "/shared/tickets/T-0001.json", "app.git", "/srv/git/app.git", "../app.git",
          "Fix the page", "a b", "Größe 你好 🦊", "e\u0301", "\u202egnp.exe", "x" * 201, "LLM_MODEL=a/b", "GITHUB_TOKEN", "1e999"]  # fmt: skip

WORDS = st.one_of(
    st.sampled_from(VERBS),
    st.sampled_from(SHELL),
    st.sampled_from(TRACES),
    st.sampled_from(OPTIONS),
    st.sampled_from(VALUES),
    st.sampled_from(FOREIGN),
    st.text(st.characters(exclude_categories=()), max_size=12),
)
# What the commands take, so that many a line is nearly or wholly right.
MEANT = st.sampled_from(
    [
        "ticket-list", "ticket-list --json", "ticket-list --status open --sort priority", "ticket-list --assign none --text 'a b'",
        "ticket-show T-0001", "ticket-show --json T-0002", "ticket-show T-9999", "my-tickets", "my-tickets --status closed",
        "ticket-work T-0001", "ticket-work T-0002", "ticket-done T-0001 --comment 'Done; $(id)'", "ticket-done T-0001 --comment -",
        "ticket-create 'Add `id` $(id)' --priority=high --assign developer", "ticket-create 'Read it' --desc -", "ticket-create ''",
        "id", "id --json", "help", "help ticket-list", "help id", "?", "git-upload-pack 'app.git'", "git-receive-pack app.git",
        "config-get", "config-set", "status", "ticket-show T-0001 --json", "ticket-list --label $(id)",
    ]
)  # fmt: skip
# Well meant, by those who may, and in vain.
IN_VAIN = st.sampled_from(
    ["ticket-show T-9999 --json", "ticket-show T-0404", "ticket-show T-5555 --json", "ticket-work T-9999", "ticket-done T-9999"]
)  # fmt: skip
SEPARATORS = st.sampled_from(
    [" ", "  ", "\t", "\n", "\r\n", ";", " ; ", " && ", "|", "\x0b", "\u00a0", "\u2028"]
)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line that somebody could send."""
    verb = draw(st.one_of(st.sampled_from(VERBS), st.sampled_from(FOREIGN), WORDS))
    rest = draw(st.lists(WORDS, max_size=5))
    kind = draw(st.integers(0, 9))
    if kind <= 1:
        return draw(MEANT)
    if kind <= 3:  # quoted as a shell would: every character arrives
        return shlex.join([verb, *rest])
    if kind <= 5:  # not quoted at all
        return draw(SEPARATORS).join([verb, *rest])
    if kind == 6:  # something behind, before or within what is allowed
        return draw(MEANT) + draw(SEPARATORS) + draw(WORDS)
    if kind == 7:
        return draw(WORDS) + draw(SEPARATORS) + draw(MEANT)
    if kind == 8:
        line = draw(MEANT)
        cut = draw(st.integers(0, len(line)))
        return line[:cut] + draw(WORDS) + line[cut:]
    huge = draw(st.sampled_from(["A", "'", "\\", "🦊", "\x1b", " x", "\n", "$(id)", "../"])) * draw(
        st.sampled_from([200, 2000, 140_000])
    )
    return draw(st.sampled_from([f"{verb} {huge}", huge, shlex.join([verb, huge]), f"ticket-create {huge}"]))


INPUTS = st.sampled_from(
    [b"", b"A description\nof two lines", b"\xff\xfe", b"\x1b]0;title\x07", b"x" * 70_000]
)
ANY = st.tuples(
    st.sampled_from(
        [(caller, place) for place in PLACES for caller in CALLERS if caller != place]
        # where there is most to do
        + [("autopilot", "manager"), ("developer", "manager"), ("developer", "git"), ("manager", "developer")]
        * 6
    ),
    lines(),
    INPUTS,
)
USELESS = st.tuples(st.sampled_from([("autopilot", "manager"), ("developer", "manager")]), IN_VAIN, INPUTS)
# Of each kind enough, however many commands there are.
REQUESTS = st.integers(0, 19).flatmap(lambda number: USELESS if number == 0 else ANY)

# -- what has to come of them --------------------------------------------------------------------------------------------


def words_of(line: str) -> list[str] | None:
    """The words of a line, or None when it cannot be split."""
    if len(line) > 128 * 1024 or "\0" in line:
        return None
    try:
        return shlex.split(line) or None
    except ValueError:
        return None


def is_text(words: list[str]) -> bool:
    """Whether words have a form in UTF-8."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return False
    return True


def expected(caller: str, place: str, line: str) -> tuple[str, set[int]]:
    """The verb that the policy's file allows to run, if any, and the exit statuses there may be."""
    words = words_of(line)
    if words is None:
        return "", {USAGE}
    verb, rest = words[0], words[1:]
    if verb in HELP:
        if len(rest) > 1:
            return "", {USAGE}
        if not rest or rest[0] in HELP:
            return "", {OK}
        # Help for a command is for those who may run it. It runs nothing.
        return "", {OK, DENIED} if caller in AT.get(rest[0], {}).get(place, []) else {DENIED}
    if caller not in AT.get(verb, {}).get(place, []):
        return "", {DENIED}
    if not is_text(words):
        return "", {USAGE}
    return verb, {OK, FAILED, USAGE, DENIED}
