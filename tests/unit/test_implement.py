"""implement: a ticket becomes a branch, with a real origin, a real tester and a scripted model on a real socket."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.implement.trial import TESTS
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.commands.conftest import Origin, origin
from tests.fakes.openrouter import Turn
from tests.unit.asking import KEY, PASSWORD, Container
from tests.unit.building import LastingBuilder, plain_python
from tests.unit.implementing import FILES, MARK, World, edits

__all__ = ["origin"]

POLITE = ("web/app.py", 'return f"Hello {name}"', 'return f"Hello, {name}"')
POLITE_TEST = ("web/tests/test_app.py", '"Hello Ada"', '"Hello, Ada"')
SHOUT = (
    "web/app.py",
    "def greeting(name):",
    "def shout(name):\n    return greeting(name).upper()\n\n\ndef greeting(name):",
)
SHOUT_TEST = (
    "web/tests/test_app.py",
    '"Hello Ada")\n',
    '"Hello Ada")\n\n    def test_a_shout(self):\n        self.assertEqual(app.shout("Ada"), "HELLO ADA")\n',
)  # fmt: skip


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_python(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[LastingBuilder]:
    with LastingBuilder(tmp_path_factory.mktemp("tester"), python) as running:
        yield running


@pytest.fixture
def world(
    tmp_path: Path,
    container_of: Callable[[str], Container],
    tester: LastingBuilder,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    root = tmp_path / "world"
    root.mkdir()
    return World(root, container_of("developer"), tester, origin, monkeypatch)


# -- it is done --


def test_a_ticket_becomes_a_branch_that_was_tested(world: World) -> None:
    ticket = world.ticket("Shout", description="Add shout(name) to web/app.py.")
    (world.clone / "README.md").write_text("not committed\n")
    (world.clone / "new").write_text("untracked\n")
    before = world.state()
    world.says(edits(SHOUT, SHOUT_TEST, summary="Add a loud greeting"), served="maker/model-1")
    done = world.data(ticket)
    branch = f"ticket/{ticket}"
    assert (done["code"], done["state"], done["branch"]) == (0, "pushed", branch)
    assert (done["model"], done["parts"], done["files"]) == (
        "maker/model-1",
        ["web"],
        ["web/app.py", "web/tests/test_app.py"],
    )
    # The branch, here and there; and nothing else.
    after = world.state()
    assert after["origin"] == {**before["origin"], branch: done["commit"]}
    assert world.git("rev-parse", branch).strip() == done["commit"]
    for same in ("files", "status", "head", "worktrees"):
        assert after[same] == before[same], same
    assert world.left() == []
    assert b"def shout" in world.content(branch, "web/app.py")
    # The commit.
    author, parent, message = world.git("log", "-1", "--format=%an <%ae>%x00%P%x00%B", branch).split("\0")
    assert (author, parent) == ("Dora <dora@example.com>", before["origin"]["main"])
    assert message.startswith(f"{ticket}: Add a loud greeting\n\n")
    assert f"\nTicket: {ticket}\nModel: maker/model-1\nTests: passed (web)\n" in message
    # The ticket.
    (comment,) = world.comments(ticket)
    for said in (
        branch,
        done["commit"][:12],
        "Add a loud greeting",
        "Tests passed: web",
        "maker/model-1",
        "$0.0001",
    ):
        assert said in comment, said
    assert world.store.get(ticket).comments[0].author == "developer"


def test_what_it_does_is_told_while_it_works(world: World) -> None:
    ticket = world.ticket()
    world.says(edits(SHOUT))
    done = world.run(ticket)
    assert done.status == 0
    assert f"Pushed ticket/{ticket}" in done.text
    assert "Tests passed: web" in done.text
    assert "tokens, $0.0001" in done.text


def test_the_tests_output_leads_to_a_second_attempt(world: World) -> None:
    ticket = world.ticket()
    world.says(
        edits((SHOUT[0], SHOUT[1], SHOUT[2].replace("upper", "uper")), SHOUT_TEST), edits(SHOUT, SHOUT_TEST)
    )
    done = world.data(ticket)
    assert (done["code"], [attempt["state"] for attempt in done["attempts"]]) == (0, ["failed", "passed"])
    second = world.fake.asked[1]["messages"][-1]["content"]
    assert "AttributeError: 'str' object has no attribute 'uper'" in second
    assert ".uper()" in second
    assert world.origin.heads()[f"ticket/{ticket}"] == done["commit"]
    assert world.git("rev-list", "--count", f"main..ticket/{ticket}").strip() == "1"


@pytest.mark.slow
def test_a_file_keeps_its_mark_and_its_line_ends(world: World) -> None:
    ticket = world.ticket("The web listens on 8080")
    world.says(edits(("web/settings.ini", "[web]\nport = 80\n", "[web]\nport = 8080\nname = x\n")))
    done = world.data(ticket)
    assert done["code"] == 0
    expected = MARK + b"[web]\r\nport = 8080\r\nname = x\r\nhost = a\r\n\r\n[api]\r\nport = 80\r\n"
    assert world.content(done["commit"], "web/settings.ini") == expected


@pytest.mark.slow
def test_an_edit_that_could_be_meant_twice_is_asked_for_anew(world: World) -> None:
    ticket = world.ticket()
    world.says(
        edits(("web/settings.ini", "port = 80", "port = 8080")),
        edits(("web/settings.ini", "[api]\nport = 80", "[api]\nport = 8080")),
    )
    done = world.data(ticket)
    assert [attempt["state"] for attempt in done["attempts"]] == ["refused", "passed"]
    assert "more than once (at lines 2, 6)" in world.fake.asked[1]["messages"][-1]["content"]
    assert world.content(done["commit"], "web/settings.ini").endswith(b"[api]\r\nport = 8080\r\n")


def test_what_tests_of_main_demand_cannot_be_edited_away(world: World) -> None:
    """The tests of the branch pass, and those of main, put back, do not."""
    ticket = world.ticket()
    world.says(edits(POLITE, POLITE_TEST))
    done = world.data(ticket, "--attempts", "1")
    assert (done["code"], done["state"]) == (1, "failed")
    assert "the tests as they are on main fail" in done["reason"]
    assert list(world.origin.heads()) == ["main"]


# -- it is not done --


RELEASE = FILES["web/release.yml"].decode()
CHEATS = {
    "deletes them": edits(POLITE, deletions=["web/tests/test_app.py"]),
    "empties them": edits(POLITE, ("web/tests/test_app.py", "self.assertEqual(app.greeting(\"Ada\"), \"Hello Ada\")", "self.assertTrue(app)")),
    "runs others": edits(POLITE, ("web/release.yml", "[python, -m, unittest, tests.test_app]", "[python, -c, pass]")),
    "has none": edits(POLITE, ("web/release.yml", "test: {command: [python, -m, unittest, tests.test_app]}\n", "")),
    "hides them": edits(POLITE, (".gitattributes", "", "*.py export-ignore\ntests export-ignore\n"), ("web/release.yml", "[python, -m, unittest, tests.test_app]", "[python, -c, pass]")),
}  # fmt: skip
# Tried each time; what the tests of main say of the others is tried above.
OFTEN = ("deletes them",)


@pytest.mark.parametrize(
    "cheat",
    [cheat if cheat in OFTEN else pytest.param(cheat, marks=pytest.mark.slow) for cheat in CHEATS],
)
def test_who_removes_tests_does_not_pass(world: World, cheat: str) -> None:
    ticket = world.ticket()
    before = world.state()
    world.says(CHEATS[cheat])
    done = world.data(ticket, "--attempts", "1")
    assert (done["code"], done["state"]) == (1, "failed")
    assert world.state()["origin"] == before["origin"]
    assert ("the tests as they are on main fail" in done["reason"]) == (cheat != "deletes them")
    assert "Nothing was pushed" in world.comments(ticket)[0]
    assert "the tests " in world.comments(ticket)[0]


@pytest.mark.parametrize(
    "path",
    [
        "web/pytest.toml",
        "web/.pytest.toml",
        "web/pytest.ini",
        "web/unittest.py",
        "web/unittest/__init__.py",
        "web/x.dist-info/entry_points.txt",
        "web/X.egg-info/entry_points.txt",
    ],
)
def test_what_turns_tests_off_is_taken_for_one(path: str) -> None:
    assert TESTS.search(path)
    assert not TESTS.search("web/app.py")


def test_what_never_passes_stays_here_and_the_ticket_says_why(world: World) -> None:
    ticket = world.ticket()
    before = world.state()
    world.says(*[edits(POLITE)] * 4)
    done = world.data(ticket)
    assert (done["code"], done["state"], len(done["attempts"])) == (1, "failed", 3)
    assert len(world.fake.asked) == 3
    after = world.state()
    assert after["origin"] == before["origin"]
    assert (
        after["refs"].replace(world.git("for-each-ref", f"refs/heads/ticket/{ticket}"), "") == before["refs"]
    )
    # For the developer to look at, and marked as what it is.
    assert "Tests: failed, so this is not finished" in world.git(
        "log", "-1", "--format=%B", f"ticket/{ticket}"
    )
    (comment,) = world.comments(ticket)
    assert comment.startswith("A model has tried this and has not done it. Nothing was pushed.")
    assert "AssertionError: 'Hello, Ada' != 'Hello Ada'" in comment
    assert comment.count("- Attempt") == 3
    assert world.left() == []


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (["I cannot do that."] * 3, "the answer holds no JSON object"),
        pytest.param(['{"summary": 3}'] * 3, "breaks the schema", marks=pytest.mark.slow),
        ([edits((path, "", "x = 1\n")) for path in ("../outside", "/etc/passwd", "web/out/passwd")], "is a link"),
        ([edits((path, "", "x = 1\n")) for path in (".git/hooks/post-checkout", "web/in", ".GIT/config")], "belongs to git"),
        pytest.param([edits(("web/app.py", "def greeting(name):", "# ... rest of the code unchanged"))] * 3, "leaves something out", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_changes_nothing(world: World, answers: list[Any], says: str) -> None:
    outside = world.root / "outside"
    outside.mkdir()
    world.commit({}, {"web/out": str(outside), "web/in": "../README.md"})
    ticket = world.ticket()
    before = world.state()
    world.says(*answers)
    done = world.data(ticket)
    assert (done["code"], done["state"], done["commit"]) == (1, "failed", "")
    assert world.state() == before
    assert list(outside.iterdir()) == []
    (comment,) = world.comments(ticket)
    assert says in comment
    assert says in done["reason"]
    assert world.left() == []


def test_a_model_that_fails_is_told_on_the_ticket(world: World) -> None:
    ticket = world.ticket()
    before = world.state()
    world.fake.script(Turn(fault="status", status=402))
    done = world.data(ticket)
    assert done["code"] == 1
    assert world.state() == before
    assert "credit" in world.comments(ticket)[0]


@pytest.mark.slow
def test_what_was_asked_in_vain_is_told_with_its_cost(world: World) -> None:
    ticket = world.ticket()
    world.says("no", "never", "not at all", cost=0.001)
    assert "without an answer" in world.data(ticket)["cost"]
    assert "about $0.003" in world.comments(ticket)[0]


def test_a_spent_budget_asks_nothing(world: World) -> None:
    world.container.also(LLM_DAILY_TOKENS="1")
    ticket = world.ticket()
    done = world.data(ticket)
    assert (done["code"], world.fake.asked) == (1, [])
    assert "LLM_DAILY_TOKENS" in world.comments(ticket)[0]


def test_without_a_key_nothing_is_begun(world: World) -> None:
    ticket = world.ticket()
    world.container.set()
    done = world.run(ticket)
    assert (done.status, world.comments(ticket), world.fake.asked) == (1, [], [])
    assert "OPENROUTER_API_KEY is not set" in done.message


def test_a_tester_that_is_away_is_told(world: World) -> None:
    (world.root / "builder.json").write_text('{"host": "127.0.0.1", "port": 9}')
    ticket = world.ticket()
    world.says(edits(SHOUT))
    done = world.data(ticket)
    assert done["code"] == 1
    assert "the builder 127.0.0.1:9 cannot be reached" in world.comments(ticket)[0]
    assert list(world.origin.heads()) == ["main"]


# -- whose ticket it is --


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"assigned_to": "monitor"}, 77, "is assigned to the monitor"),
        pytest.param({"assigned_to": None}, 77, "is assigned to nobody", marks=pytest.mark.slow),
        ({"status": "closed"}, 1, "is closed"),
    ],
)
def test_only_a_ticket_of_ones_own_is_done(
    world: World, fields: dict[str, Any], status: int, says: str
) -> None:
    ticket = world.ticket()
    world.store.update("manager", ticket, fields)
    before = world.state()
    done = world.run(ticket)
    assert done.status == status
    assert says in done.message
    assert world.run("T-0999").status == 1
    assert (world.fake.asked, world.state()) == ([], before)


# -- looking first --


def test_a_dry_run_shows_the_difference_and_changes_nothing(world: World) -> None:
    ticket = world.ticket()
    before = world.state()
    world.says(edits(SHOUT))
    done = world.run(ticket, "--dry-run")
    assert done.status == 0
    assert "+++ b/web/app.py" in done.text
    assert "+def shout(name):" in done.text
    assert (world.state(), world.comments(ticket), world.left()) == (before, [], [])


def test_the_prompt_is_shown_and_nothing_asked(world: World) -> None:
    world.container.set()
    ticket = world.ticket(f"The password is {PASSWORD}")
    done = world.run(ticket, "--show-prompt")
    assert done.status == 0
    assert "=== file web/app.py, base " in done.text
    assert "[web]\nport = 80\n" in done.text
    assert PASSWORD not in done.text
    assert (world.fake.asked, world.comments(ticket)) == ([], [])


def test_no_secret_leaves_and_its_place_is_left_alone(world: World) -> None:
    content = f"password = {PASSWORD}\nport = 1\n".encode()
    world.commit({"web/secret.ini": content})
    files = {**FILES, "web/secret.ini": content}
    ticket = world.ticket()
    world.says(
        edits(
            ("web/secret.ini", "password = [hidden]\nport = 1", "password = [hidden]\nport = 2"), files=files
        ),
        edits(("web/secret.ini", "port = 1", "port = 2"), files=files),
    )
    done = world.data(ticket)
    assert [attempt["state"] for attempt in done["attempts"]] == ["refused", "passed"]
    assert world.content(done["commit"], "web/secret.ini") == content.replace(b"port = 1", b"port = 2")
    sent = "".join(world.container.sent())
    assert PASSWORD not in sent
    assert KEY not in sent


def test_a_large_repository_is_shown_in_part(world: World) -> None:
    world.commit({f"docs/page{number}.md": f"# Page {number}\n" * 1500 for number in range(12)})
    ticket = world.ticket("Shout", description="Shout as greeting does.")
    world.says({"files": ["web/tests/test_app.py", "no/such/file"]}, edits(SHOUT, SHOUT_TEST))
    done = world.data(ticket)
    assert done["code"] == 0
    first, second = (body["messages"][-1]["content"] for body in world.fake.asked)
    assert "docs/page3.md (" in first
    assert "# Page 3" not in first
    assert "=== file web/tests/test_app.py" in second
    # By the ticket's words.
    assert "=== file web/app.py" in second
    assert "no/such/file" not in second


# -- again --


def test_a_branch_that_is_there_is_not_made_twice(world: World) -> None:
    ticket = world.ticket()
    world.says(edits(SHOUT))
    first = world.data(ticket)
    asked = len(world.fake.asked)
    done = world.data(ticket)
    assert (done["code"], done["state"], done["commit"]) == (0, "there", first["commit"])
    assert (len(world.fake.asked), len(world.comments(ticket))) == (asked, 1)
    # Begun anew, the origin's branch goes on.
    world.commit({"README.md": "# Another\n"})
    world.says(edits((SHOUT[0], SHOUT[1], SHOUT[2].replace("upper", "title")), summary="Greet in capitals"))
    again = world.data(ticket, "--again")
    assert (again["code"], again["state"]) == (0, "pushed")
    assert world.origin.heads()[f"ticket/{ticket}"] == again["commit"]
    assert b".title()" in world.content(again["commit"], "web/app.py")
    assert world.content(again["commit"], "README.md") == b"# Another\n"
    parents = world.git("log", "-1", "--format=%P", again["commit"]).split()
    assert parents == [first["commit"], world.origin.heads()["main"]]


@pytest.mark.slow
def test_a_branch_that_failed_is_there_until_it_is_begun_anew(world: World) -> None:
    ticket = world.ticket()
    world.says(edits(POLITE))
    assert world.data(ticket, "--attempts", "1")["code"] == 1
    done = world.run(ticket)
    assert done.status == 1
    assert f"git diff main...ticket/{ticket}" in done.message
    world.says(edits(SHOUT))
    assert world.data(ticket, "--again")["state"] == "pushed"


def test_a_persons_commits_are_kept(world: World) -> None:
    ticket = world.ticket()
    world.git("switch", "--quiet", "--create", f"ticket/{ticket}")
    done = world.run(ticket)
    assert (done.status, "is in your clone already" in done.message) == (1, True)
    assert "is checked out in" in world.run(ticket, "--again").message
    (world.clone / "mine").write_text("mine")
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message=mine")
    world.git("switch", "--quiet", "main")
    before = world.state()
    assert "has commits of yours" in world.run(ticket, "--again").message
    assert (world.state(), world.fake.asked) == (before, [])


def test_a_branch_that_a_person_begins_meanwhile_is_left_alone(world: World) -> None:
    ticket = world.ticket()
    world.fake.script(Turn(json.dumps(edits(SHOUT)), delay=1.0))
    with world.started(ticket, "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["stage"] == "asking"
        world.git("switch", "--quiet", "--create", f"ticket/{ticket}")
        world.git("commit", "--quiet", "--allow-empty", "--message=mine")
        world.git("switch", "--quiet", "main")
        before = world.state()
        output, _errors = process.communicate(timeout=120)
    done = json.loads(output.splitlines()[-1])["data"]
    assert (process.returncode, done["state"]) == (1, "failed")
    assert "has been changed meanwhile, and is left as it is" in done["reason"]
    assert "has been changed meanwhile" in world.comments(ticket)[0]
    assert world.state() == before
    # What was made is there for whoever wants it.
    assert world.git("cat-file", "-t", done["commit"]).strip() == "commit"


# -- ends from outside --


@pytest.mark.parametrize("stage", ["asking", "testing", "pushing"])
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_end_at_any_step_leaves_nothing(world: World, stage: str, number: signal.Signals) -> None:
    ticket = world.ticket()
    before = world.state()
    world.fake.script(Turn(json.dumps(edits(SHOUT)), delay=1.0 if stage == "asking" else 0.0))
    with world.started(ticket, "--json") as process:
        assert process.stdout
        for line in process.stdout:
            if json.loads(line).get("stage") == stage:
                break
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    after = world.state()
    if stage != "pushing" or f"ticket/{ticket}" not in after["origin"]:
        assert after == before
    assert (world.left(), world.comments(ticket)) == ([], [])
    # And the tester is free, and the ticket too.
    world.fake.forget()
    world.says(edits(SHOUT))
    assert world.data(ticket, "--again")["state"] == "pushed"


def test_one_ticket_is_done_once_at_a_time(world: World) -> None:
    ticket, other = world.ticket(), world.ticket()
    world.fake.script(Turn(json.dumps(edits(SHOUT)), delay=2.0))
    with world.started(ticket, "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["stage"] == "asking"
        refused = world.run(ticket)
        assert refused.status == 75
        assert "Somebody else works on" in refused.message
        world.says(edits(SHOUT))
        assert world.data(other)["state"] == "pushed"
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert {f"ticket/{ticket}", f"ticket/{other}"} < set(world.origin.heads())


def test_what_the_repository_brings_runs_nothing_here(world: World) -> None:
    """No hook, filter or driver of the clone or of the tree is started."""
    mark = world.root / "ran"
    trap = world.root / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    trap.chmod(0o755)
    for hook in (
        "reference-transaction",
        "pre-push",
        "post-checkout",
        "pre-auto-gc",
        "post-commit",
        "post-merge",
    ):
        (world.clone / ".git/hooks").mkdir(exist_ok=True)
        (world.clone / ".git/hooks" / hook).symlink_to(trap)
    world.commit({".gitattributes": "* filter=trap diff=trap merge=trap\n*.py export-subst\n"})
    for name in ("filter.trap.smudge", "filter.trap.clean", "diff.trap.textconv", "diff.trap.command"):
        world.git("config", "--global", name, str(trap))
    ticket = world.ticket()
    mark.unlink(missing_ok=True)
    world.says(edits(SHOUT), edits(SHOUT))
    assert world.run(ticket, "--dry-run").status == 0
    assert world.data(ticket)["state"] == "pushed"
    assert not mark.exists()
