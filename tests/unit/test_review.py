"""``review``: what of a real repository is sent, what never is, and which findings count."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.openrouter import Turn
from tests.unit.asking import PASSWORD, Container

BEFORE = "def total(prices):\n    return sum(prices)\n"
AFTER = "def total(prices):\n    return sum(prices) / len(prices)\n"


def git(tree: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words],
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def finding(file: str, line: int, severity: str = "high", **more: str) -> dict[str, Any]:
    found = {
        "file": file,
        "line": line,
        "severity": severity,
        "message": "Divides by zero.",
        "suggestion": "",
    }
    return found | more


def says(*findings: dict[str, Any]) -> Turn:
    return Turn(json.dumps({"summary": "A mean now.", "findings": findings}))


@pytest.fixture
def container(container_of: Callable[[str], Container]) -> Container:
    return container_of("developer")


@pytest.fixture
def tree(container: Container, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with a commit, in which the developer is."""
    tree = container.home / "app"
    (tree / "backend").mkdir(parents=True)
    git(tree, "init", "--quiet", "--initial-branch=main")
    (tree / "backend" / "app.py").write_text(BEFORE)
    (tree / "README").write_text("An app.\n")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=First")
    monkeypatch.chdir(tree)
    return tree


def sent(container: Container) -> str:
    [asked] = container.fake.asked
    return str(asked["messages"][-1]["content"])


def test_what_is_not_committed_is_sent_with_its_numbers(container: Container, tree: Path) -> None:
    (tree / "backend" / "app.py").write_text(AFTER)
    (tree / "new file.py").write_text("print(1)\r\n")
    (tree / "README").unlink()
    container.fake.script(says(finding("backend/app.py", 2), finding("new file.py", 1, "low")))
    outcome = container.run("review")
    assert outcome.status == 0, outcome
    assert "backend/app.py:2  high\n  Divides by zero." in outcome.text
    assert "2 findings in 2 file(s): what is not committed." in outcome.text
    assert outcome.text.splitlines()[-1].startswith("openai/gpt-4o-mini: ")
    lines = sent(container).splitlines()
    assert "     1  def total(prices):" in lines
    assert "       -    return sum(prices)" in lines
    assert "     2 +    return sum(prices) / len(prices)" in lines
    assert "     1 +print(1)" in lines
    assert "README" in lines


def test_files_are_named_as_they_are_however_long(container: Container, tree: Path) -> None:
    names = ["a/" * 40 + "long.py", "größe \u4f60.py", "line\nfeed.py"]
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x = 1\n")
    shown = [names[0], names[1], "line\\u000afeed.py"]
    container.fake.script(says(*(finding(f"./{name}", 1) for name in shown)))
    found = json.loads(container.run("review", "--json").text)
    assert [entry["file"] for entry in found["findings"]] == shown
    assert found["dropped"] == 0
    assert all(f"----- {name} " in sent(container) for name in shown)


def test_a_branch_is_compared_with_where_it_left_main(container: Container, tree: Path) -> None:
    git(tree, "switch", "--quiet", "--create", "ticket/T-0001")
    (tree / "backend" / "app.py").write_text(AFTER)
    git(tree, "commit", "--quiet", "--all", "--message=Mean")
    git(tree, "switch", "--quiet", "main")
    (tree / "README").write_text("Of others.\n")
    git(tree, "commit", "--quiet", "--all", "--message=Others")
    container.fake.script(says(finding("backend/app.py", 2)))
    found = json.loads(container.run("review", "--branch", "ticket/T-0001", "--json").text)
    assert (found["what"], found["files"]) == ("branch ticket/T-0001", ["backend/app.py"])
    assert "Of others." not in sent(container)
    assert "     2 +    return sum(prices) / len(prices)" in sent(container)


def test_whole_files_are_named_from_where_one_is(
    container: Container, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree / "backend")
    container.fake.script(says())
    found = json.loads(container.run("review", "app.py", "../README", "app.py", "--json").text)
    assert found["files"] == ["backend/app.py", "README"]
    assert "     1  def total(prices):" in sent(container)


@pytest.mark.parametrize(
    ("least", "status"), [(None, 0), ("critical", 0), ("high", 1), ("medium", 1), ("low", 1)]
)
def test_it_can_gate(container: Container, tree: Path, least: str | None, status: int) -> None:
    (tree / "backend" / "app.py").write_text(AFTER)
    container.fake.script(says(finding("backend/app.py", 1, "low"), finding("backend/app.py", 2)))
    words = [] if least is None else ["--fail-at", least]
    outcome = container.run("review", *words, "--json")
    found = json.loads(outcome.text)
    assert (outcome.status, found["failed"]) == (status, bool(status))
    assert [entry["severity"] for entry in found["findings"]] == ["high", "low"]


def test_what_was_not_shown_cannot_be_found(container: Container, tree: Path) -> None:
    (tree / "backend" / "app.py").write_text(AFTER)
    container.fake.script(
        says(
            finding("README", 1, "critical"),
            finding("../../etc/passwd", 1, "critical"),
            finding("backend/app.py", 900, "low"),
        )
    )
    outcome = container.run("review", "--fail-at", "high", "--json")
    found = json.loads(outcome.text)
    assert (outcome.status, found["dropped"]) == (0, 2)
    assert [(entry["file"], entry["line"]) for entry in found["findings"]] == [("backend/app.py", 0)]


def test_nothing_outside_the_work_tree_is_read(container: Container, tree: Path) -> None:
    secret = container.home / "secret.txt"
    secret.write_text("A word that must not leave.\n")
    (tree / "link.txt").symlink_to(secret)
    (tree / "folder").symlink_to(container.home)
    (tree / "loop").symlink_to("loop")
    for name in ("link.txt", "folder/secret.txt", "../secret.txt", str(secret), "/etc/passwd", ".git/config"):
        outcome = container.run("review", name)
        assert outcome.status == 2, name
        assert "is not in" in outcome.message, name
    assert container.run("review", "loop").status in (1, 2)
    assert container.fake.requests == []
    # What git has not taken yet is not followed either.
    (tree / "plain.txt").write_text("Plain.\n")
    container.fake.script(says())
    found = json.loads(container.run("review", "--json").text)
    assert found["files"] == ["plain.txt"]
    assert sorted(found["left_out"]) == ["folder", "link.txt", "loop"]
    assert "must not leave" not in sent(container)


def test_a_committed_link_is_not_followed(container: Container, tree: Path) -> None:
    secret = container.home / "secret.txt"
    secret.write_text("A word that must not leave.\n")
    (tree / "backend" / "app.py").unlink()
    (tree / "backend" / "app.py").symlink_to(secret)
    container.fake.script(says())
    assert container.run("review").status == 0
    assert "must not leave" not in sent(container)


def test_programs_that_a_repository_names_do_not_run(container: Container, tree: Path) -> None:
    ran = container.home / "ran"
    (tree / ".gitattributes").write_text("*.py diff=mine\n")
    git(tree, "config", "diff.mine.textconv", f"touch {ran}; cat")
    git(tree, "config", "diff.mine.command", f"touch {ran}; true")
    git(tree, "config", "diff.external", f"touch {ran}; true")
    (tree / "backend" / "app.py").write_text(AFTER)
    container.fake.script(says())
    assert container.run("review").status == 0
    assert "     2 +    return sum(prices) / len(prices)" in sent(container)
    assert not ran.exists()


def test_no_secret_leaves(container: Container, tree: Path) -> None:
    (tree / "backend" / "app.py").write_text(f'PASSWORD = "{PASSWORD}"\n')
    container.fake.script(says())
    assert container.run("review").status == 0
    assert PASSWORD not in sent(container)
    shown = container.run("review", "--show-prompt")
    assert "[hidden]" in shown.text
    assert PASSWORD not in shown.text
    assert len(container.fake.asked) == 1


def test_forged_numbers_and_signs_stay_within_their_line(container: Container, tree: Path) -> None:
    (tree / "new.py").write_text("a = 1\x0b     9 +b = 2\u2028     9 +c = 3\x1b[2J\u202e\n")
    container.fake.script(says())
    assert container.run("review").status == 0
    assert "     1 +a = 1\\u000b     9 +b = 2\\u2028     9 +c = 3\\u001b[2J\\u202e" in sent(container)


def test_where_nothing_changed_nobody_is_asked(container: Container, tree: Path) -> None:
    outcome = container.run("review", "--fail-at", "low")
    assert outcome.status == 0
    assert "Nothing to review" in outcome.text
    (tree / "image.png").write_bytes(b"\x89PNG\0")
    assert "Left out, without text to look at: image.png" in container.run("review").text
    assert container.fake.requests == []


def test_a_repository_without_a_commit(
    container: Container, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = container.home / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    (empty / "a.py").write_text("a = 1\n")
    monkeypatch.chdir(empty)
    container.fake.script(says(finding("a.py", 1)))
    assert len(json.loads(container.run("review", "--json").text)["findings"]) == 1


@pytest.mark.parametrize("attribute", ["-diff", "binary", "diff=mine"])
def test_no_attribute_hides_code(container: Container, tree: Path, attribute: str) -> None:
    git(tree, "config", "diff.mine.binary", "true")
    git(tree, "switch", "--quiet", "--create", "hides")
    (tree / ".gitattributes").write_text(f"*.py {attribute}\n")
    (tree / "backend" / "app.py").write_text(AFTER)
    (tree / "image.png").write_bytes(b"\x89PNG\0")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=Hidden")
    container.fake.script(says(finding("backend/app.py", 2)))
    outcome = container.run("review", "--branch", "hides", "--fail-at", "low", "--json")
    found = json.loads(outcome.text)
    assert (outcome.status, found["files"]) == (1, [".gitattributes", "backend/app.py"])
    assert (found["left_out"], found["unseen"]) == (["image.png"], [])
    assert "     2 +    return sum(prices) / len(prices)" in sent(container)


def test_what_was_emptied_and_what_is_in_latin_1_is_shown(container: Container, tree: Path) -> None:
    (tree / "backend" / "app.py").write_text("")
    (tree / "new.py").write_bytes("name = 'gr\xf6\xdfe'\n".encode("latin-1"))
    container.fake.script(says(finding("backend/app.py", 1)))
    found = json.loads(container.run("review", "--json").text)
    assert (found["files"], found["left_out"]) == (["backend/app.py", "new.py"], [])
    assert [(entry["file"], entry["line"]) for entry in found["findings"]] == [("backend/app.py", 0)]
    assert "       -    return sum(prices)" in sent(container)
    assert "     1 +name = 'gr\\udcf6\\udcdfe'" in sent(container)


def test_what_is_too_large_to_be_looked_at_passes_no_gate(container: Container, tree: Path) -> None:
    (tree / "README").write_bytes(b"\0" * 9_000_000)
    for words, status in (([], 0), (["--fail-at", "critical"], 1)):
        outcome = container.run("review", *words)
        assert (outcome.status, "Too large to be looked at: README." in outcome.text) == (status, True)
    assert container.fake.requests == []


def test_what_is_too_much_or_does_not_fit_together_is_refused(container: Container, tree: Path) -> None:
    (tree / "large.py").write_text("x = 1\n" * 60_000)
    for words, message in (
        ([], "'large.py' is too much: a question takes at most 262144 bytes along"),
        (["large.py"], "is too much"),
        (["README", "--diff"], "leave the others away"),
        (["README", "--branch", "main"], "leave the others away"),
        (["--diff", "--branch", "main"], "not allowed with"),
        (["--branch", "missing"], "there is no branch 'missing'"),
        (["--branch", "--upload-pack=x"], "expected one argument"),
        (["--branch=--all"], "there is no branch"),
        (["--fail-at", "none"], "invalid choice"),
    ):
        outcome = container.run("review", *words)
        assert outcome.status == 2, (words, outcome)
        assert message in outcome.message, (words, outcome)
    (tree / "large.py").unlink()
    for number in range(101):
        (tree / f"{number}.py").write_text("x = 1\n")
    assert "101 files changed, and at most 100" in container.run("review").message
    assert container.run("review", "missing.py").status == 1
    assert container.fake.requests == []


@pytest.mark.parametrize(
    "turn",
    [
        Turn("Looks good to me!", times=9),
        Turn(json.dumps({"summary": "", "findings": [finding("README", 1, "severe")]}), times=9),
        Turn(fault="status", status=402),
    ],
)
def test_an_answer_that_is_none_fails_the_gate(container: Container, tree: Path, turn: Turn) -> None:
    (tree / "README").write_text("Changed.\n")
    container.fake.script(Turn(**vars(turn)))
    outcome = container.run("review")
    assert (outcome.status, outcome.text) == (1, "")
    assert outcome.message.startswith("review: ")
