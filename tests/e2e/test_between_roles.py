"""What one role asks another's gate for: the monitor's word on tickets, and how the branches stand."""

from __future__ import annotations

import json
import os

import pytest

from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE, as_role, data

DENIED = 77
RELEASE = "20261125T131500Z-0123456789ab"
MANAGER = SERVICE["manager"]


def new_ticket(platform: Platform) -> str:
    return str(data(as_role(platform, "manager", "ticket-create 'Between roles' --json"))["id"])


def comments(platform: Platform, ticket: str) -> list[tuple[str, str]]:
    shown = data(as_role(platform, "manager", f"ticket-show {ticket} --json"))
    return [(comment["author"], comment["text"]) for comment in shown["comments"]]


# -- ticket-deployed --


def test_the_monitor_says_on_a_ticket_what_became_of_a_release(platform: Platform) -> None:
    ticket = new_ticket(platform)
    for changed in (True, False):
        line = f"ssh {MANAGER} ticket-deployed {ticket} {RELEASE} deployed --json"
        assert data(as_role(platform, "monitor", line))["changed"] is changed
    assert comments(platform, ticket) == [("monitor", f"Release {RELEASE} is deployed.")]
    for words, code, said in (
        (f"T-9999 {RELEASE} deployed", 1, "There is no ticket T-9999"),
        (f"{ticket} latest deployed", 2, "is no release"),
        (f"{ticket} {RELEASE} 'deployed; id'", 2, "invalid choice"),
    ):
        refused = as_role(platform, "monitor", f'ssh {MANAGER} "ticket-deployed {words}"')
        assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
        assert said in refused.stderr
    assert len(comments(platform, ticket)) == 1
    log = platform.run(MANAGER, "cat", f"/shared/logs/audit/{MANAGER}.jsonl").stdout.splitlines()
    told = [entry for entry in map(json.loads, log) if entry.get("verb") == "ticket-deployed"]
    assert {entry["caller"] for entry in told if ticket in entry["arguments"]} == {"monitor"}


def test_the_monitor_reads_and_changes_no_ticket_otherwise(platform: Platform) -> None:
    ticket = new_ticket(platform)
    for line in (
        "ticket-list",
        f"ticket-show {ticket}",
        f"ticket-comment {ticket} x",
        f"ticket-update {ticket} --priority high",
        f"ticket-done {ticket}",
        "bash -i",
    ):
        refused = as_role(platform, "monitor", f"ssh {MANAGER} {line}")
        assert refused.returncode in (2, DENIED), refused
        assert refused.stdout == ""
    assert comments(platform, ticket) == []


@pytest.mark.parametrize("role", ["manager", "autopilot", "developer"])
def test_nobody_else_speaks_for_the_monitor(platform: Platform, role: str) -> None:
    ticket = new_ticket(platform)
    line = f"ticket-deployed {ticket} {RELEASE} deployed"
    refused = as_role(platform, role, line if role == "manager" else f"ssh {MANAGER} {line}")
    assert (refused.returncode, refused.stdout) == (DENIED, ""), refused.stderr
    assert refused.stderr.startswith("denied: ")
    assert comments(platform, ticket) == []


# -- git-status --


def test_manager_and_autopilot_see_how_the_branches_stand(platform: Platform) -> None:
    name = f"standing-{os.getpid()}"
    script = f"cd ~/app && git switch -q -c {name} && date > {name} && commit-push \"$(printf 'A\\033[2J title')\"; git switch -q main"
    pushed = as_role(platform, "developer", script)
    assert pushed.returncode == 0, pushed.stderr
    seen = platform.run("git", "git", "--git-dir", "/srv/git/app.git", "rev-parse", "main", name)
    main, head = seen.stdout.split()
    for role in ("manager", "autopilot"):
        found = data(as_role(platform, role, "git-status --json"))
        assert found["main"]["commit"] == main
        [branch] = [each for each in found["branches"] if each["name"] == name]
        assert (branch["commit"], branch["ahead"], branch["behind"]) == (head, 1, 0)
        assert branch["subject"] == "A\\x1b[2J title"
        assert branch["merged"] is False
        shown = as_role(platform, role, "git-status").stdout
        assert name in shown
        assert "\x1b" not in shown


@pytest.mark.parametrize("role", ["developer", "monitor"])
def test_for_others_the_branches_are_git_alone(platform: Platform, role: str) -> None:
    refused = as_role(platform, role, "ssh git git-status")
    assert (refused.returncode, refused.stdout) == (DENIED, ""), refused.stderr
    assert refused.stderr.startswith("denied: ")


@pytest.mark.parametrize("role", ["manager", "autopilot"])
def test_who_sees_the_branches_reads_no_code(platform: Platform, role: str) -> None:
    for line in ("git-upload-pack app.git", "git-receive-pack app.git", "sh", "cat /srv/git/app.git/HEAD"):
        refused = as_role(platform, role, f"ssh git {line}")
        assert refused.returncode in (2, DENIED), refused
        assert refused.stdout == ""
