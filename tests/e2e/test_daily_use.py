"""What people do with the roles every day, over SSH and at a terminal, as the containers have it."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE, TOPOLOGY, as_role, data

OK, USAGE, DENIED = 0, 2, 77

# Colours, and what readline says to a terminal beside the text.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x07")


def at_terminal(platform: Platform, role: str, text: str) -> str:
    """What a person sees who types a text, keys like Tab included, after the login."""
    done = platform.ssh(SERVICE[role], options=["-tt"], text=f"{text}\nexit\n")
    return _CONTROL.sub("", done.stdout).replace("\r", "")


def test_the_flow_of_the_description_finding_u1(platform: Platform) -> None:
    made = as_role(
        platform, "manager", 'ticket-create "Add user auth" --priority=high --desc="Implement JWT" --json'
    )
    ticket = data(made)["id"]
    assert ticket in as_role(platform, "developer", "my-tickets").stdout
    for line in (f"ticket-show {ticket}", f"ticket-work {ticket}", f"ticket-comment {ticket} 'Half done'"):
        assert as_role(platform, "developer", line).returncode == OK, line
    assert as_role(platform, "developer", f"ticket-done {ticket}").returncode == OK
    shown = data(as_role(platform, "manager", f"ticket-show {ticket[2:]} --json"))
    assert (shown["status"], shown["comments"][0]["text"]) == ("closed", "Half done")


def test_the_managers_daily_verbs_finding_u3(platform: Platform) -> None:
    ticket = data(as_role(platform, "manager", "ticket-create Verbs --assign none --json"))["id"]
    assert as_role(platform, "developer", f"ticket-work {ticket}").returncode == DENIED
    for words in (
        "--assign developer",
        "--label ui --comment Please",
        "--close",
        "--reopen",
        "--title 'Two verbs'",
    ):
        assert as_role(platform, "manager", f"ticket-update {ticket} {words}").returncode == OK, words
    shown = data(as_role(platform, "developer", f"ticket-show {ticket} --json"))
    assert (shown["title"], shown["labels"], shown["status"]) == ("Two verbs", ["ui"], "open")
    assert as_role(platform, "manager", "config-autopilot AUTOPILOT_INTERVAL=90").returncode == OK
    stored = platform.run(SERVICE["autopilot"], "cat", "/home/autopilot/.env").stdout
    assert "AUTOPILOT_INTERVAL=90" in stored
    assert as_role(platform, "manager", "config-autopilot AUTOPILOT_INTERVAL=").returncode == OK


def test_the_autopilots_commands_go_where_they_run_finding_u2(platform: Platform) -> None:
    made = data(as_role(platform, "autopilot", "ticket-create 'Seen by the autopilot' --json"))
    assert made["created_by"] == "autopilot"
    assert made["id"] in as_role(platform, "autopilot", "ticket-list").stdout
    told = as_role(platform, "autopilot", "status --json")
    assert set(SERVICE.values()) <= {service["service"] for service in json.loads(told.stdout)["services"]}


@pytest.mark.parametrize("role", TOPOLOGY.roles())
def test_the_login_message_and_help_finding_u7(platform: Platform, role: str) -> None:
    own = set(grammar.own(TOPOLOGY.policy, role))
    shown = at_terminal(platform, role, "")
    message = shown.partition(f"{role}@")[0].splitlines()
    assert own <= {line.split()[0] for line in message if line.startswith("  ")}
    assert max(map(len, message)) <= 80
    assert "help" in shown
    for line in ("help", f"help {min(own)}"):
        answer = as_role(platform, role, line)
        assert (answer.returncode, answer.stderr) == (OK, ""), line
    assert own <= set(as_role(platform, role, "help").stdout.split())


def test_tab_completes_values_in_the_shell_finding_u6(platform: Platform) -> None:
    shown = at_terminal(platform, "manager", "ticket-create Tab --priority=cri\t--assign no\t--json")
    [ticket] = re.findall(r'"id": "(T-[0-9]+)"', shown)
    stored = data(as_role(platform, "manager", f"ticket-show {ticket} --json"))
    assert (stored["priority"], stored["assigned_to"]) == ("critical", None)
    shown = at_terminal(platform, "manager", "ssh-to dev\tid </dev/null\nconfig-monitor MONITOR_POLL\t47")
    assert "caller=manager" in shown
    assert "MONITOR_POLL_INTERVAL is now 47" in shown
    assert as_role(platform, "manager", "config-monitor MONITOR_POLL_INTERVAL=").returncode == OK
    shown = at_terminal(platform, "developer", f"ticket-show {ticket}\t")
    assert f"{ticket}  Tab" in shown


def test_the_line_that_ssh_needs_works_as_it_is_shown_finding_u8(platform: Platform) -> None:
    done = platform.ssh("ssh-manager", "ticket-create", "two words", "--json")
    assert (done.returncode, done.stdout) == (USAGE, "")
    right = done.stderr.partition("once more: ")[2].rpartition("; try")[0]
    ssh, host, line = shlex.split(right)
    assert (ssh, host) == ("ssh", "ssh-manager")
    assert json.loads(platform.ssh(host, line).stdout)["title"] == "two words"
