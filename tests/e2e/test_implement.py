"""implement on the platform: small tickets of the reference application by a scripted model, tested where they really are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.edits.model import digest
from tests.e2e.support.deploys import Team
from tests.e2e.support.openrouter import fake_openrouter
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import as_role, data
from tests.fakes.openrouter import FakeOpenRouter, Turn

SECONDS = 600.0
MARK = "\ufeff"
PAGE, STYLE, SITE_TESTS = (
    "frontend/site/errors/404.html",
    "frontend/site/style.css",
    "frontend/tests/test_site.py",
)
TABLES, CONFIG = "desktop-app/client/dockfra_status/tables.py", "backend/backend/config.py"
NOTES = "frontend/notes/ports.txt"

Change = tuple[str, str, str]

# Says which of some files are there.
THERE = "for each in {}; do if [ -e $each ]; then echo $each; fi; done"

LINK = (PAGE, "To the platform", "Back to the platform")
LINK_TEST = (
    SITE_TESTS,
    "def test_finding_u14_an_answer_that_fails_has_a_page_too():",
    "def test_the_page_of_what_is_not_there_leads_back(nginx):\n"
    '    assert "Back to the platform" in get(f"{nginx}/nope")[2]\n\n\n'
    "def test_finding_u14_an_answer_that_fails_has_a_page_too():",
)
BROKEN = (PAGE, '<a href="/">', '<a href="/nowhere">')


class Desk:
    """The developer at work.

    Attributes:
        fake: the model.
    """

    def __init__(self, platform: Platform, fake: FakeOpenRouter) -> None:
        self.platform, self.fake = platform, fake
        self.team = Team(platform)

    def ticket(self, title: str) -> str:
        done = as_role(self.platform, "manager", f"ticket-create '{title}' --assign developer --json")
        return str(data(done)["id"])

    def comments(self, ticket: str) -> str:
        shown = data(as_role(self.platform, "manager", f"ticket-show {ticket} --json"))
        return "\n".join(comment["text"] for comment in shown["comments"])

    def heads(self) -> dict[str, str]:
        return dict(
            line.split()[::-1] for line in self.git("for-each-ref --format='%(objectname) %(refname)'")
        )

    def git(self, words: str) -> list[str]:
        """What git says at the origin."""
        done = self.platform.run("git", "sh", "-c", f"git --git-dir /srv/git/app.git {words}")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def content(self, path: str, commit: str = "main") -> bytes:
        done = self.platform.run(
            "git", "sh", "-c", f"git --git-dir /srv/git/app.git cat-file blob {commit}:{path} | base64 -w0"
        )
        assert done.returncode == 0, done.stderr
        return base64.b64decode(done.stdout)

    def clone(self) -> str:
        """All of the clone that must not change, and what else the home has."""
        return self.team.developer(
            "cd ~/app && git status --porcelain && git worktree list && git rev-parse HEAD && cat .git/config"
            " && find ~ -mindepth 1 -maxdepth 1 ! -name .local | sort"
            " && kept=~/.local/state/dockfra/implement && if [ -d $kept ]; then find $kept -mindepth 1 -maxdepth 1 ! -name locks; fi"
        )

    def says(self, *answers: Sequence[Change] | str, deletions: Sequence[str] = ()) -> None:
        """What the model says: which files it wants to see, and then its answers."""
        paths = [change[0] for answer in answers if not isinstance(answer, str) for change in answer]
        known = {path: self.content(path) for path in {*paths, *deletions} if self._is_there(path)}
        turns = [json.dumps({"files": sorted(known)})]
        for answer in answers:
            if isinstance(answer, str):
                turns.append(answer)
                continue
            edits = [
                {
                    "path": path,
                    "old": old,
                    "new": new,
                    "base": digest(known[path]) if path in known else "none",
                }
                for path, old, new in answer
            ]
            gone = [{"path": path, "base": digest(known[path])} for path in deletions]
            turns.append(json.dumps({"summary": "Do as the ticket says", "edits": edits, "deletions": gone}))
        self.fake.script(*(Turn(text, served="maker/model-1") for text in turns))

    def _is_there(self, path: str) -> bool:
        return path in self.git("ls-tree -r --name-only main")

    def done(self, ticket: str, words: str = "") -> dict[str, Any]:
        """Run it; returns its result, with the exit status as ``code``."""
        done = self.platform.ssh("developer", f"implement {ticket} --json {words}", timeout=SECONDS)
        assert done.stdout, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        return {**last["data"], "code": done.returncode}

    def succeeds(self, ticket: str, attempts: Sequence[str]) -> str:
        """Do a ticket, and return its commit, after a look at all that it leads to."""
        before, clone = self.heads(), self.clone()
        done = self.done(ticket)
        assert (done["code"], done["state"]) == (0, "pushed"), done
        assert [attempt["state"] for attempt in done["attempts"]] == list(attempts)
        branch = f"ticket/{ticket}"
        assert self.heads() == {**before, f"refs/heads/{branch}": done["commit"]}
        # The branch and what it follows are new in the clone's settings.
        assert self.clone().splitlines()[:2] == clone.splitlines()[:2]
        message = "\n".join(self.git(f"log -1 --format=%an%n%B {branch}"))
        assert message.startswith(f"developer\n{ticket}: Do as the ticket says")
        assert "Model: maker/model-1" in message
        comments = self.comments(ticket)
        assert branch in comments
        assert "Tests passed" in comments
        assert "maker/model-1" in comments
        return str(done["commit"])

    def fails(self, ticket: str, *says: str) -> None:
        """Have a ticket not done: nothing has changed at the origin, and the ticket says why."""
        before, clone = self.heads(), self.clone()
        done = self.done(ticket)
        assert (done["code"], done["state"]) == (1, "failed"), done
        assert (self.heads(), self.clone()) == (before, clone)
        comments = self.comments(ticket)
        assert "Nothing was pushed" in comments
        for word in says:
            assert word in comments, comments


@pytest.fixture(scope="module")
def served(platform: Platform) -> Iterator[FakeOpenRouter]:
    with fake_openrouter(platform, ["developer"]) as fake:
        yield fake
        assert fake.problems == []


@pytest.fixture
def desk(platform: Platform, served: FakeOpenRouter) -> Desk:
    served.forget()
    return Desk(platform, served)


# -- done --


def test_a_page_and_its_test(desk: Desk) -> None:
    ticket = desk.ticket("The page of what is not there leads back")
    desk.says([LINK, LINK_TEST])
    commit = desk.succeeds(ticket, ["passed"])
    assert b"Back to the platform" in desk.content(PAGE, commit)


@pytest.mark.slow
def test_a_place_that_could_be_meant_more_than_once(desk: Desk) -> None:
    ticket = desk.ticket("Messages stand in the middle")
    desk.says(
        [(STYLE, "margin: 0;", "margin: auto;")],
        [(STYLE, "  max-width: 34rem;\n  margin: 0;", "  max-width: 34rem;\n  margin: auto;")],
    )
    commit = desk.succeeds(ticket, ["refused", "passed"])
    assert desk.content(STYLE, commit).count(b"margin: auto;") == 1
    assert "more than once (at lines " in desk.fake.requests[2].text


@pytest.mark.slow
def test_a_file_with_a_mark_and_line_ends_of_its_own(desk: Desk) -> None:
    text = f"{MARK}page 80\r\napi 8081\r\n"
    desk.team.push("Notes", files={NOTES: text, ".gitattributes": "notes/* -text\n"})
    try:
        ticket = desk.ticket("The notes know the mobile backend")
        desk.says([(NOTES, "page 80\napi 8081\n", "page 80\napi 8081\nmobile 8082\n")])
        commit = desk.succeeds(ticket, ["passed"])
        assert desk.content(NOTES, commit) == f"{text}mobile 8082\r\n".encode()
    finally:
        desk.team.first_code()


@pytest.mark.slow
def test_a_mistake_is_seen_by_the_tests_and_put_right(desk: Desk) -> None:
    ticket = desk.ticket("The client paints what waits")
    colours = '"failed": RED}'
    desk.says(
        [(TABLES, colours, '"failed": RED, "waiting": YELOW}')],
        [(TABLES, colours, '"failed": RED, "waiting": YELLOW}')],
    )
    desk.succeeds(ticket, ["failed", "passed"])
    assert "name 'YELOW' is not defined" in desk.fake.requests[2].text.replace("\\u0027", "'")


@pytest.mark.slow
def test_a_ticket_of_the_backend(desk: Desk) -> None:
    ticket = desk.ticket("A status that cannot be is no limit")
    desk.says([(CONFIG, "    below: int = 400\n", "    below: int = Field(default=400, ge=100, le=600)\n")])
    desk.succeeds(ticket, ["passed"])


# -- not done --


@pytest.mark.slow
def test_nonsense_changes_nothing(desk: Desk) -> None:
    ticket = desk.ticket("Something")
    desk.says("I am sorry.", "Dave.", "I cannot do that.")
    desk.fails(ticket, "no JSON object")
    assert desk.team.developer(f"cd ~/app && git branch --list ticket/{ticket}") == ""


def test_edits_elsewhere_change_nothing(desk: Desk) -> None:
    ticket = desk.ticket("Somewhere")
    desk.says(
        [LINK, ("../.ssh/authorized_keys", "", "mine\n")],
        [LINK, (".git/hooks/pre-push", "", "#!/bin/sh\n")],
        [LINK, ("/home/developer/.bashrc", "", "mine\n")],
    )
    desk.fails(ticket, "is no plain path", "belongs to git itself", "no path within the repository")
    assert desk.team.developer(THERE.format("~/.ssh/authorized_keys ~/app/.git/hooks/pre-push")) == ""


@pytest.mark.slow
def test_edits_through_links_change_nothing(desk: Desk) -> None:
    desk.team.push("Links", "ln -s /home/developer frontend/home && ln -s site frontend/pages")
    try:
        ticket = desk.ticket("Through a link")
        desk.says(
            *[[LINK, (f"frontend/{path}", "", "mine\n")] for path in ("home/mine", "pages/mine", "home")]
        )
        desk.fails(ticket, "is a link or below one")
        assert desk.team.developer(THERE.format("~/mine ~/app/frontend/site/mine")) == ""
    finally:
        desk.team.first_code()


@pytest.mark.slow
def test_tests_cannot_be_deleted(desk: Desk) -> None:
    ticket = desk.ticket("Without tests")
    desk.says(
        *[[BROKEN, ("frontend/tests/test_new.py", "", "def test_nothing():\n    pass\n")]] * 3,
        deletions=[SITE_TESTS],
    )
    desk.fails(ticket, "the tests as they are on main fail")


@pytest.mark.slow
def test_what_never_passes_is_not_pushed(desk: Desk) -> None:
    ticket = desk.ticket("Never")
    desk.says(*[[BROKEN]] * 3)
    desk.fails(ticket, "There is nothing here", "- Attempt 3 failed")
    seen = desk.team.developer(f"cd ~/app && git log -1 --format=%B ticket/{ticket}")
    assert "Tests: failed, so this is not finished" in seen
