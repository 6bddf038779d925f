"""Models behind the roles' commands, over SSH, against an OpenRouter of the tests' own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.support.openrouter import KEY, ROLES, configure, fake_openrouter
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE, as_role, data
from tests.fakes.openrouter import FakeOpenRouter, Turn

# As in the containers, which have no agent and no other key.
MATERIAL = "/etc/dockfra/ssh/id_ed25519"


@pytest.fixture(scope="module")
def served(platform: Platform) -> Iterator[FakeOpenRouter]:
    with fake_openrouter(platform) as fake:
        yield fake
        assert fake.problems == []


@pytest.fixture
def fake(served: FakeOpenRouter) -> FakeOpenRouter:
    served.forget()
    return served


def asking(platform: Platform, role: str, line: str) -> subprocess.Popen[bytes]:
    """A line that somebody has typed and waits for."""
    command = ["ssh", "-F", str(platform.state / "ssh_config"), "-o", "BatchMode=yes", SERVICE[role], line]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


@pytest.mark.parametrize("role", ROLES)
def test_everybody_who_may_ask_gets_an_answer(platform: Platform, fake: FakeOpenRouter, role: str) -> None:
    fake.script(Turn("It was killed.", served="some/model-1", cost=0.0031))
    done = as_role(platform, role, "ask 'What is 137?'")
    assert (done.returncode, done.stdout) == (0, "It was killed.\n"), done.stderr
    assert "some/model-1: " in done.stderr
    assert "$0.0031" in done.stderr
    assert f"the {role} of" in fake.requests[0].text


def test_the_first_word_comes_before_the_last_is_said(platform: Platform, fake: FakeOpenRouter) -> None:
    fake.script(Turn("One two three.", fault="stalled", hold=50))
    with asking(platform, "manager", "ask Count.") as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100).startswith(b"One")
        assert process.poll() is None
        process.kill()


def test_an_answer_that_breaks_off_keeps_what_came(platform: Platform, fake: FakeOpenRouter) -> None:
    fake.script(Turn("One two three.", fault="mid-stream"))
    done = as_role(platform, "developer", "ask Count.")
    assert (done.returncode, done.stdout) == (1, "One two \n")
    assert "broke off" in done.stderr


def test_the_key_is_in_no_argument_log_or_audit(platform: Platform, fake: FakeOpenRouter) -> None:
    fake.script(Turn("One two three.", fault="stalled", hold=50))
    with asking(platform, "monitor", "ask 'A word of the question'") as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 100)
        script = "for process in /proc/[0-9]*; do tr '\\0' ' ' <$process/cmdline; tr '\\0' ' ' <$process/environ; done"
        seen = platform.run(SERVICE["monitor"], "sh", "-c", f"{script} 2>/dev/null; true")
        assert "ask" in seen.stdout
        assert KEY not in seen.stdout
        process.kill()
    fake.script(Turn("Wonderful."))
    assert as_role(platform, "monitor", "ask 'Another of the question'").returncode == 0
    for role in ROLES:
        container = platform.container(SERVICE[role])
        assert KEY not in json.dumps(container.attrs), role
        assert KEY.encode() not in container.logs(), role
        audit = platform.run(SERVICE[role], "cat", f"/shared/logs/audit/{SERVICE[role]}.jsonl").stdout
        assert KEY not in audit
        if role == "monitor":
            assert '"verb":"model"' in audit.replace(" ", "")
            assert "of the question" not in audit
            assert "Wonderful." not in audit


def test_what_is_secret_in_a_container_does_not_leave(platform: Platform, fake: FakeOpenRouter) -> None:
    done = as_role(platform, "monitor", f"ask 'What is this?' --file {MATERIAL} --file ~/.env --json")
    assert done.returncode == 0, done.stderr
    key = platform.run(SERVICE["monitor"], "cat", MATERIAL).stdout
    sent = fake.requests[0].text
    assert KEY not in sent
    assert not any(line in sent for line in key.splitlines() if line and not line.startswith("-----"))


def test_without_a_key_nothing_is_asked_and_one_line_says_so(
    platform: Platform, fake: FakeOpenRouter
) -> None:
    configure(platform, "developer", {"OPENROUTER_API_KEY": None})
    try:
        done = as_role(platform, "developer", "ask Why?")
        assert (done.returncode, done.stdout) == (1, "")
        assert "OPENROUTER_API_KEY is not set" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        shown = as_role(platform, "developer", "ask Why? --show-prompt")
        assert (shown.returncode, "Why?" in shown.stdout) == (0, True)
    finally:
        configure(platform, "developer", {"OPENROUTER_API_KEY": KEY})
    assert fake.requests == []


def test_a_plan_becomes_tickets_that_wait_for_each_other_once(
    platform: Platform, fake: FakeOpenRouter
) -> None:
    def ticket(title: str, *depends_on: int) -> dict[str, object]:
        entry = {"title": title, "description": "", "priority": "low", "assignee": "developer"}
        return {**entry, "depends_on": list(depends_on)}

    plan = {"summary": "In two steps.", "tickets": [ticket("The page of models", 2), ticket("Its table")]}
    fake.script(Turn(json.dumps(plan)))
    goal = f"'Show the models {os.getpid()}'"
    shown = as_role(platform, "manager", f"plan {goal}")
    assert shown.returncode == 0, shown.stderr
    assert "after 2" in shown.stdout
    made = data(as_role(platform, "manager", "plan --create --json"))["tickets"]
    again = data(as_role(platform, "manager", f"plan {goal} --create --json"))["tickets"]
    assert [entry["id"] for entry in made] == [entry["id"] for entry in again]
    assert [entry["created"] for entry in (*made, *again)] == [True, True, False, False]
    first = data(as_role(platform, "manager", f"ticket-show {made[0]['id']} --json"))
    assert first["depends_on"] == [made[1]["id"]]
    assert len(fake.asked) == 1


def test_whoever_may_not_ask_is_denied(platform: Platform, fake: FakeOpenRouter) -> None:
    for role, line in (
        ("autopilot", "ask Why?"),
        ("autopilot", "ssh ssh-manager ask Why?"),
        ("developer", "plan 'A goal'"),
        ("developer", "analyze-logs"),
        ("manager", "review"),
        ("monitor", "review"),
        ("manager", "analyze-logs"),
    ):
        done = as_role(platform, role, line)
        assert (done.returncode, done.stdout) == (77, ""), (role, line, done)
        assert done.stderr.startswith("denied: "), (role, line, done)
    assert fake.requests == []
