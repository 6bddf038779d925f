"""Tickets to GitHub and back, with the manager's own commands and playbooks against a GitHub of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.support import runs
from tests.e2e.support.github import TOKEN, fake_github
from tests.e2e.support.platform import Platform
from tests.fakes.github import FakeGitHub


@pytest.fixture(scope="module")
def github(platform: Platform) -> Iterator[FakeGitHub]:
    with fake_github(platform) as fake:
        yield fake


def test_without_a_token_nothing_is_sent(platform: Platform) -> None:
    done = platform.ssh("ssh-manager", "ticket-push")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ticket-push: GITHUB_TOKEN and GITHUB_REPO are not set")
    assert len(done.stderr.splitlines()) == 1


def test_there_and_back(platform: Platform, github: FakeGitHub) -> None:
    made = platform.ssh("ssh-manager", "ticket-create 'To GitHub' --priority high --assign developer --json")
    ticket = json.loads(made.stdout)["id"]
    for _twice in range(2):
        done = platform.ssh("ssh-manager", f"ticket-push {ticket}")
        assert done.returncode == 0, done.stderr
    issues = [issue for issue in github.issues() if issue["title"] == "To GitHub"]
    assert len(issues) == 1
    assert {"priority:high", "assigned:developer"} <= set(issues[0]["labels"])

    github.edit(issues[0]["number"], title="Back from GitHub")
    github.comment(issues[0]["number"], "Seen there")
    pulled = platform.ssh("ssh-manager", "ticket-pull")
    assert pulled.returncode == 0, pulled.stderr
    shown = json.loads(platform.ssh("ssh-manager", f"ticket-show {ticket} --json").stdout)
    assert shown["title"] == "Back from GitHub"
    assert any("Seen there" in comment["text"] for comment in shown["comments"])


def test_playbooks_from_outside_do_the_same(platform: Platform, github: FakeGitHub) -> None:
    values = {"title": "By playbook; $(id)", "labels": ["outside"], "external_key": "matrix/playbook"}
    for changed in (1, 0):
        assert runs.playbook("playbooks/tickets/create.yml", "-e", json.dumps(values)).ok().changed == changed
    pushed = runs.playbook("playbooks/tickets/push.yml").ok()
    assert TOKEN not in pushed.output
    assert [issue for issue in github.issues() if issue["title"] == "By playbook; $(id)"]
    listed = runs.playbook("playbooks/tickets/list.yml", "-e", json.dumps({"labels": ["outside"]})).ok()
    assert "By playbook; $(id)" in listed.output


def test_the_token_is_nowhere_else(platform: Platform, github: FakeGitHub) -> None:
    for service in platform.names:
        container = platform.container(service)
        assert TOKEN not in json.dumps(container.attrs), service
        assert TOKEN.encode() not in container.logs(), service
    audit = platform.run("ssh-manager", "sh", "-c", "cat /shared/logs/audit/*.jsonl")
    assert TOKEN not in audit.stdout
    shown = platform.ssh("ssh-manager", "config-show manager --json")
    assert TOKEN not in shown.stdout
    assert "GITHUB_TOKEN" in shown.stdout
