"""Wrong input to tickets and settings, and whatever else reaches a gate: one clear line, and nothing else has happened."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.plugin_utils.cli.remote import MAX_LINE
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.gate_lines import (
    DENIED,
    FAILED,
    INPUTS,
    OK,
    TRACE,
    USAGE,
    expected,
    lines,
    words_of,
)
from tests.e2e.support import runs
from tests.e2e.support.github import REPO, TOKEN, configure, fake_github
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.roles import SERVICE, Answer, as_role, data, typed

# What a shell says when it may not start a program with so long an argument, and when there is no such program.
NOT_STARTED, NOT_FOUND = 126, 127
CANNOT_CONNECT = 255

CALLS = (Path(__file__).parent / "support" / "gatecalls.py").read_text()
PER_GATE = 50


def inside(platform: Platform, role: str, script: str) -> str:
    """What a script says that looks at a role's container from within, without a login of its own."""
    done = platform.run(SERVICE[role], "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(platform: Platform) -> list[str]:
    """The tickets' and settings' files: names, times and content. A file that was written anew is another one."""
    found = []
    for role, paths in (
        ("manager", "/shared/tickets ~/.env"),
        ("developer", "~/.env"),
        ("monitor", "~/.env"),
    ):
        # Locks and the notes of synchronisations are no tickets.
        files = f"find {paths} ! -type d ! -name '*.lock' ! -path '*/.github/*'"
        script = f"{files} -printf '%p %i %s %T@ %l\\n'; {files} -type f -exec sha256sum {{}} +"
        found += [f"{role} {line}" for line in inside(platform, role, script).splitlines()]
    return sorted(found)


# -- wrong input -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slip:
    """Something typed in a role's shell, the exit status it has, and words of the line that says why.

    The shell knows $OPEN, $WORKING and $CLOSED, tickets of the developer, $OTHERS, one of the monitor, and texts of many
    characters: $LONG (100 kB), $FULL (just too much for a line to another place) and $HUGE (1 MB).
    """

    role: str
    line: str
    code: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.role}: {ascii(self.line)[1:-1][:70]}"


def manager(line: str, code: int, *words: str) -> Slip:
    return Slip("manager", line, code, words)


def developer(line: str, code: int, *words: str) -> Slip:
    return Slip("developer", line, code, words)


def gate(role: str, line: str, code: int, *words: str) -> Slip:
    """Sent as it is to the manager's gate."""
    return Slip(role, f"ssh ssh-manager {shlex.quote(line)}", code, words)


NO_ID = ("is no ticket id", "looks like T-0001")
PRIORITIES = "low, normal, high, critical"

SLIPS = [
    # ids
    manager("ticket-show T-9999", FAILED, "There is no ticket T-9999", "list"),
    manager("ticket-show ../../etc/passwd", USAGE, "'../../etc/passwd'", *NO_ID),
    manager("ticket-show 'T-0001;id'", USAGE, "'T-0001;id'", *NO_ID),
    manager("ticket-show $'T-0001\\nT-0002'", USAGE, "'T-0001\\nT-0002'", *NO_ID),
    developer("ticket-work T-9999", FAILED, "There is no ticket T-9999", "list"),
    developer("ticket-work ../../etc/passwd", USAGE, "'../../etc/passwd'", *NO_ID),
    gate("autopilot", "ticket-show T-9999", FAILED, "There is no ticket T-9999", "list"),
    gate("autopilot", "ticket-show 'T-0001;id'", USAGE, "'T-0001;id'", *NO_ID),
    # fields
    manager("ticket-create Title --priority urgent", USAGE, "--priority", "'urgent'", PRIORITIES),
    manager("ticket-create Title --assign nobody", USAGE, "--assign", "'nobody'", "choose from manager, autopilot, monitor, developer, none"),
    manager("ticket-create ''", USAGE, "The title is empty", "write one"),
    manager("ticket-create", USAGE, "title", "ticket-create --help"),
    manager("ticket-list --status done", USAGE, "'done'", "open, in_progress, closed"),
    developer("ticket-done $WORKING --comment ''", USAGE, "A comment is empty", "write one"),
    gate("autopilot", "ticket-create Title --priority urgent", USAGE, "'urgent'", PRIORITIES),
    gate("autopilot", "ticket-create '  '", USAGE, "The title is empty", "write one"),
    # lengths
    manager('ticket-create "$LONG"', USAGE, "The title has 100000 characters; at most 200"),
    manager('ticket-create "$HUGE"', NOT_STARTED, "ticket-create: Argument list too long"),
    manager('echo "$HUGE$HUGE" | ticket-create Title --desc -', USAGE, "more than 1048576 bytes; send less"),
    manager('ssh-to developer id "$FULL"', USAGE, "more than", "send text on the input"),
    developer(
        'ticket-done $WORKING --comment "$LONG"', USAGE, "A comment has 100000 characters; at most 65536"
    ),
    developer('ticket-done $WORKING --comment "$FULL"', USAGE, "more than", "send text on the input"),
    developer('ticket-done $WORKING --comment "$HUGE"', NOT_STARTED, "ticket-done: Argument list too long"),
    developer(
        'echo "$HUGE" | ticket-done $WORKING --comment -', USAGE, "A comment has 1000000 characters"
    ),
    Slip("autopilot", 'ssh ssh-manager ticket-create "$LONG"', USAGE, ("has 100000 characters; at most 200",)),
    Slip("autopilot", 'ssh ssh-manager "ticket-create $HUGE"', NOT_STARTED, ("ssh: Argument list too long",)),
    # sshd hands a line over in one piece, as a shell would: what is too long for that reaches nobody.
    Slip("autopilot", 'ssh ssh-manager ticket-create "$LONG" "$LONG"', FAILED, ("Argument list too long",)),
    # characters
    manager("ticket-create $'two\\nlines'", USAGE, "The title holds the control character '\\n'; remove it"),
    manager("ticket-create $'red \\e[31m'", USAGE, "'\\x1b'; remove it"),
    manager("ticket-create $'txt.\\u202egnp'", USAGE, "'\\u202e'; remove it"),
    manager("ticket-create $'latin \\xff'", USAGE, "'latin \\xff' is no UTF-8 text"),
    manager("printf 'a\\0b' | ticket-create Title --desc -", USAGE, "The description", "'\\x00'; remove it"),
    developer("ticket-done $WORKING --comment $'red \\e[31m'", USAGE, "'\\x1b'; remove it"),
    developer("printf 'a\\0b' | ticket-done $WORKING --comment -", USAGE, "A comment", "'\\x00'; remove it"),
    developer("printf 'a\\u2066b' | ticket-done $WORKING --comment -", USAGE, "'\\u2066'; remove it"),
    gate("autopilot", "ticket-create 'two\nlines'", USAGE, "'\\n'; remove it"),
    gate("autopilot", "ticket-create 'red \x1b[31m'", USAGE, "'\\x1b'; remove it"),
    gate("autopilot", "ticket-create 'txt.\u202egnp'", USAGE, "'\\u202e'; remove it"),
    Slip("autopilot", "ssh ssh-manager $'ticket-create a\\xffb'", USAGE, ("'a\\xffb' is no UTF-8 text",)),
    Slip(
        "autopilot",
        "printf 'a\\0b' | ssh ssh-manager ticket-create Title --desc -",
        USAGE,
        ("'\\x00'; remove it",),
    ),
    # who and when
    developer("ticket-done $OPEN", DENIED, "denied: ", "while it is open; start it first"),
    developer("ticket-work $OTHERS", DENIED, "denied: ", "it is assigned to the monitor"),
    developer("ticket-work $CLOSED", FAILED, "is closed and cannot become in_progress, only open"),
    gate("developer", "ticket-update T-0001 --close", DENIED, "denied: ", "the autopilot and the manager"),
    gate("developer", "ticket-create Title", DENIED, "denied: ", "the autopilot and the manager"),
    gate("autopilot", "ticket-work T-0001", DENIED, "denied: ", "it is for the developer"),
    gate("autopilot", "ticket-push", DENIED, "denied: ", "it is for the manager"),
    manager("ticket-done $WORKING", DENIED, "denied: ", "it is for the developer"),
    manager("ticket-push", FAILED, "GITHUB_TOKEN and GITHUB_REPO are not set", "write them into ~/.env"),
    manager("ticket-pull", FAILED, "GITHUB_TOKEN and GITHUB_REPO are not set", "write them into ~/.env"),
    # settings
    manager("config-developer NO_SUCH=1", USAGE, "NO_SUCH is no setting; there are", "LLM_MODEL"),
    manager("config-developer MONITOR_POLL_INTERVAL=30", USAGE, "it is one of the monitor"),
    manager("config-developer LLM_MODEL=a/b LLM_MAX_TOKENS=many", USAGE, "a whole number from 1 to 200000"),
    manager("config-developer OPENROUTER_API_KEY=sk-or-v1-0123456789", USAGE, "is a secret", "< FILE"),
    manager("config-developer OPENROUTER_API_KEY", USAGE, "no value", "OPENROUTER_API_KEY= resets it"),
    manager("config-monitor MONITOR_POLL_INTERVAL=0", USAGE, "a whole number from 1 to 86400"),
    manager("config-monitor NO_SUCH", USAGE, "NO_SUCH is no setting; there are", "MONITOR_POLL_INTERVAL"),
    manager("echo '{\"NO_SUCH\": 1}' | ssh ssh-monitor config-set", USAGE, "NO_SUCH is no setting"),
    manager("config-show nobody", USAGE, "'nobody'", "developer"),
    # commands, options, places
    manager("ticket-frobnicate", NOT_FOUND, "ticket-frobnicate: command not found"),
    manager("ticket-create Title --due today", USAGE, "--due today", "ticket-create --help"),
    manager("ssh-to nowhere", DENIED, "denied: ", "'nowhere'", "autopilot, developer, monitor"),
    manager("ssh-to developer rm -rf /", DENIED, "denied: ", "'rm'", "help"),
    developer("ticket-work --force $OPEN", USAGE, "--force", "ticket-work --help"),
    gate("developer", "ticket-done T-0001 --comment '", USAGE, "quotation marks", "do not match"),
    gate("autopilot", "ticket-frobnicate", DENIED, "denied: ", "'ticket-frobnicate'", "help"),
    gate("autopilot", "ticket-create Title --due today", USAGE, "--due today", "ticket-create --help"),
    Slip("autopilot", "ssh -T ssh-manager", USAGE, ("there is no command; try help",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def tickets(platform: Platform) -> dict[str, str]:
    """Tickets by what the slips call them."""
    owners = {"OPEN": "developer", "WORKING": "developer", "CLOSED": "developer", "OTHERS": "monitor"}
    made = typed(
        platform, "manager", [f"ticket-create {name} --assign {role} --json" for name, role in owners.items()]
    )
    found = {
        name: str(json.loads(answer.stdout)["id"]) for name, answer in zip(owners, made.values(), strict=True)
    }
    work = [
        f"ticket-work {found['WORKING']}",
        f"ticket-work {found['CLOSED']}",
        f"ticket-done {found['CLOSED']}",
    ]
    assert [answer.code for answer in typed(platform, "developer", work).values()] == [OK, OK, OK]
    return found


@pytest.fixture(scope="module")
def slips(platform: Platform, tickets: dict[str, str]) -> tuple[dict[Slip, Answer], list[str], list[str]]:
    """What each slip came to, and the state before and after all of them."""
    known = " ".join(f"{name}={ticket}" for name, ticket in tickets.items())
    texts = {"LONG": 100_000, "FULL": MAX_LINE, "HUGE": 1_000_000}
    known += "".join(f" {name}=$(head -c {size} /dev/zero | tr '\\0' A)" for name, size in texts.items())

    def slipped(role: str) -> dict[Slip, Answer]:
        own = [slip for slip in SLIPS if slip.role == role]
        answers = typed(platform, role, [known, *(slip.line for slip in own)])
        return {slip: answers[slip.line] for slip in own}

    before = state(platform)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(slipped, ("manager", "developer", "autopilot")))
    return {slip: answer for answers in found for slip, answer in answers.items()}, before, state(platform)


@pytest.mark.parametrize("slip", SLIPS, ids=str)
def test_a_slip_is_told_in_one_line(slips: tuple[dict[Slip, Answer], Any, Any], slip: Slip) -> None:
    answer = slips[0][slip]
    assert (answer.code, answer.stdout) == (slip.code, ""), answer
    told = answer.stderr.removesuffix("\n")
    assert told.isprintable(), answer
    assert len(told) < 600
    assert [word for word in slip.words if word not in told] == [], answer
    assert "unexpected" not in told
    assert "Traceback" not in told


def test_slips_change_nothing(slips: tuple[Any, list[str], list[str]], tickets: dict[str, str]) -> None:
    _answers, before, after = slips
    assert all(any(f"/{ticket}.json" in line for line in before) for ticket in tickets.values())
    assert {line.split()[0] for line in before if "/.env" in line} == {"manager", "developer", "monitor"}
    assert after == before


def test_a_title_that_is_too_long_for_ssh_itself(platform: Platform) -> None:
    """sshd cannot hand 200 kB to a command, and takes no line of 1 MB at all: no command begins."""
    before = state(platform)
    for times, code in ((2, FAILED), (10, CANNOT_CONNECT)):
        done = platform.ssh("ssh-manager", "ticket-create", *["A" * 100_000] * times)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert state(platform) == before


def test_github_refuses(platform: Platform, tickets: dict[str, str]) -> None:
    with fake_github(platform, GITHUB_REPO="dockfra/nowhere") as fake:
        push, pull = f"ticket-push {tickets['OPEN']}", "ticket-pull"
        for values, typed_lines, words in (
            ({}, [push, pull], ("There is no repository dockfra/nowhere", "check its name")),
            ({"GITHUB_REPO": REPO, "GITHUB_TOKEN": f"{TOKEN}9"}, [push], ("refuses the token (401)",)),
        ):
            if values:
                configure(platform, values)
            before = state(platform)
            answers = typed(platform, "manager", typed_lines)
            assert state(platform) == before
            for line, answer in answers.items():
                assert (answer.code, answer.stdout) == (FAILED, ""), answer
                assert answer.stderr.startswith(f"{line.split()[0]}: "), answer
                assert answer.stderr.removesuffix("\n").isprintable(), answer
                assert [word for word in words if word not in answer.stderr] == [], answer
                assert TOKEN not in answer.stderr
        assert fake.issues() == []


def test_playbooks_refuse_too(platform: Platform) -> None:
    before = state(platform)
    outside = runs.start("playbooks/tickets/create.yml", "-e", "title=Title", "-e", "priority=urgent")
    line = "cd /opt/dockfra && ansible-playbook playbooks/tickets/update.yml -e id=T-9999 -e priority=high"
    within = as_role(platform, "manager", line)
    run = outside.end()

    assert run.code != OK
    assert len(run.errors) == 1, run.errors
    assert "priority" in run.errors[0]
    assert PRIORITIES in run.errors[0]
    assert within.returncode != OK
    assert within.stdout.count("fatal:") == 1
    assert "There is no ticket T-9999" in within.stdout
    assert "Traceback" not in run.output + within.stdout + within.stderr
    assert state(platform) == before


# -- whatever reaches a gate -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """What the autopilot sends to a gate: the line as it arrives there, and the input."""

    line: str
    content: bytes
    text: bytes


def sample(place: str) -> list[Sent]:
    """Different lines that SSH can carry, the same on every run; up to half of them are not simply denied there."""
    found: dict[str, Sent] = {}

    @settings(max_examples=100, phases=[Phase.generate], derandomize=True, database=None, deadline=None)
    @given(st.lists(st.tuples(lines(), INPUTS), min_size=10, max_size=10))
    def collect(drawn: list[tuple[str, bytes]]) -> None:
        for line, text in drawn:
            content = line.encode(errors="surrogatepass")
            if b"\0" not in content and len(content) <= MAX_LINE:
                arrives = content.decode(errors="surrogateescape")
                found.setdefault(arrives, Sent(arrives, content, text))

    collect()
    denied = [sent for sent in found.values() if expected("autopilot", place, sent.line)[1] == {DENIED}]
    others = [sent for sent in found.values() if expected("autopilot", place, sent.line)[1] != {DENIED}]
    return [*others[: PER_GATE // 2], *denied][:PER_GATE]


def observed(platform: Platform, role: str) -> tuple[Counter[str], set[str]]:
    """Processes and files of a role's container."""
    script = "ps -eo args --no-headers; echo; find /tmp /home /run /var /shared 2>/dev/null; true"
    processes, _empty, files = inside(platform, role, script).partition("\n\n")
    return Counter(processes.splitlines()), set(files.splitlines())


def left_over(platform: Platform, role: str, processes: Counter[str]) -> set[str]:
    """The files of a role's container, as soon as no more processes are there than before."""
    seen: set[str] = set()

    def alone() -> bool:
        nonlocal seen
        now, seen = observed(platform, role)
        return not now - processes

    eventually(alone, f"what was sent to the {role} has ended", 10)
    return seen


def send(platform: Platform, place: str, requests: Sequence[Sent]) -> list[Answer]:
    calls = [[base64.b64encode(part).decode() for part in (sent.content, sent.text)] for sent in requests]
    request = json.dumps([SERVICE[place], calls])
    script = f"import io, sys\nsys.stdin = io.StringIO({request!r})\n{CALLS}"
    script = script.replace("from __future__ import annotations\n", "")
    done = platform.run(SERVICE["autopilot"], "python3", "-", text=script)
    return [Answer(*answer) for answer in data(done)]


def test_whatever_is_sent_to_a_gate(platform: Platform) -> None:
    """Over real SSH a sample of what the unit tests try in one process, and its effects."""
    places = ("manager", "developer")
    requests = {place: sample(place) for place in places}
    assert [len(part) for part in requests.values()] == [PER_GATE] * len(places)
    assert all(sum(TRACE in sent.line for sent in part) >= 5 for part in requests.values())
    watched = (*places, "autopilot")
    logs = {place: f"/shared/logs/audit/{SERVICE[place]}.jsonl" for place in places}
    for place in places:
        # From its first calls a gate keeps what it counts of a caller.
        assert (
            platform.run(SERVICE["autopilot"], "ssh", SERVICE[place], "no-such-command").returncode == DENIED
        )
    starts = {place: int(inside(platform, place, f"wc -l < {logs[place]}")) for place in places}
    before = {role: observed(platform, role) for role in watched}
    stored = state(platform)
    with ThreadPoolExecutor(2) as pool:
        answers = dict(
            zip(places, pool.map(lambda place: send(platform, place, requests[place]), places), strict=True)
        )

    created: set[str] = set()
    outcomes: Counter[int] = Counter()
    for place in places:
        logged = inside(platform, place, f"tail -n +{starts[place] + 1} {logs[place]}")
        entries = [entry for entry in map(json.loads, logged.splitlines()) if entry["caller"] == "autopilot"]
        assert len(entries) == len(requests[place])
        for sent, answer, entry in zip(requests[place], answers[place], entries, strict=True):
            code, error = answer.code, answer.stderr
            said = f"{place}: {sent.line[:200]!a}: {answer} {entry}"[:2000]
            verb, statuses = expected("autopilot", place, sent.line)
            assert code in statuses, said
            assert (entry["role"], entry["result"]) == (place, code), said
            assert entry["verdict"] == {DENIED: "denied", USAGE: "invalid"}.get(code, "allowed"), said
            words = words_of(sent.line)
            if words and len(words[0]) <= 40 and "=" not in words[0]:
                assert entry["verb"] == words[0], said
            assert (answer.stdout != "", error == "") == (code == OK, code == OK), said
            assert error.removesuffix("\n").isprintable(), said
            assert error.startswith("denied: ") == (code == DENIED), said
            if verb == "ticket-create":
                created |= set(re.findall(r'^(?:Created |  "id": ")(T-[0-9]+)', answer.stdout, re.MULTILINE))
            outcomes[code] += 1
    assert all(outcomes[code] >= 5 for code in (OK, USAGE, DENIED)), outcomes

    # Of all that was sent, tickets are what may be new; no other file is.
    tickets = set()
    for role in watched:
        processes, files = before[role]
        made = left_over(platform, role, processes) - files
        assert not [path for path in made if TRACE in path]
        tickets |= {path for path in made if path.startswith("/shared/tickets/T-")}
        assert {path for path in made if path not in tickets} == set(), role
    assert {Path(path).stem for path in tickets} == created
    changed = set(stored) - set(state(platform))
    assert not [line for line in changed if ".json" in line or ".env" in line]
