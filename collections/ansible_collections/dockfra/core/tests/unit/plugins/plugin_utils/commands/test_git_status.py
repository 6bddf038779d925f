# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``git-status``: how the branches of a real repository stand, whatever was pushed to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.commands.git import git_status

from .conftest import Origin, run


def repository(origin: Origin, *words: str, **more: str) -> str:
    """Run git in the origin's repository itself and return what it says."""
    done = origin.git("nobody", f"--git-dir={origin.repository}", *words, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(
    origin: Origin, parent: str, message: str, when: int = 1_800_000_000, author: str = "A Test"
) -> str:
    """Make a commit without touching a branch, and return its hash."""
    words = ["commit-tree", *(["-p", parent] if parent else []), "-m", message, f"{empty_tree(origin)}"]
    dates = {f"GIT_{who}_DATE": f"@{when} +0000" for who in ("AUTHOR", "COMMITTER")}
    return repository(origin, *words, GIT_AUTHOR_NAME=author, **dates)


def empty_tree(origin: Origin) -> str:
    return repository(origin, "hash-object", "-t", "tree", "-w", "/dev/null")


def branch(origin: Origin, name: str, at: str) -> None:
    repository(origin, "update-ref", f"refs/heads/{name}", at)


def status(origin: Origin, caller: str = "manager", words: str = "") -> dict[str, Any]:
    done = origin.says(caller, f"git-status {words} --json")
    assert (done.returncode, done.stderr) == (0, ""), done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_branches_stand_as_they_do(origin: Origin) -> None:
    first = origin.heads()["main"]
    topic = commit(origin, commit(origin, first, "One"), "Two", when=1_800_000_300, author="Ada L")
    branch(origin, "topic/login", topic)
    branch(origin, "done", first)
    second = commit(origin, first, "Second on main", when=1_900_000_000)
    branch(origin, "main", second)
    found = status(origin)
    assert found["repository"] == "app.git"
    assert found["main"] == {
        "name": "main",
        "commit": second,
        "time": "2030-03-17T17:46:40Z",
        "author": "A Test",
        "subject": "Second on main",
    }
    assert found["more"] is False
    by_name = {entry.pop("name"): entry for entry in found["branches"]}
    assert list(by_name) == ["topic/login", "done"], "the newest first, and main is none of them"
    assert by_name["topic/login"] == {
        "commit": topic,
        "time": "2027-01-15T08:05:00Z",
        "author": "Ada L",
        "subject": "Two",
        "ahead": 2,
        "behind": 1,
        "merged": False,
    }
    assert (by_name["done"]["ahead"], by_name["done"]["behind"], by_name["done"]["merged"]) == (0, 1, True)


def test_it_is_for_the_manager_and_the_autopilot(origin: Origin) -> None:
    assert status(origin, "autopilot") == status(origin, "manager")
    for caller in ("developer", "monitor", "git", "nobody", ""):
        done = origin.says(caller, "git-status")
        assert (done.returncode, done.stdout) == (77, "")
        assert done.stderr.startswith("denied: ")
    # They look, and have no other way in.
    for line in ("git-upload-pack app.git", "git-receive-pack app.git"):
        assert origin.says("autopilot", line).returncode == 77


def test_a_person_reads_a_table(origin: Origin) -> None:
    branch(origin, "topic", commit(origin, origin.heads()["main"], "Show the release"))
    done = origin.says("manager", "git-status")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["BRANCH", "COMMIT", "TIME", "TO", "MAIN", "AUTHOR", "SUBJECT"]
    assert lines[1].startswith("main ")
    assert "+1 -0" in lines[2]
    assert lines[2].endswith("Show the release")


def test_an_origin_without_main_or_without_anything(origin: Origin) -> None:
    first = origin.heads()["main"]
    branch(origin, "other", first)
    repository(origin, "update-ref", "-d", "refs/heads/main")
    found = status(origin)
    assert found["main"] is None
    [other] = found["branches"]
    assert (other["ahead"], other["behind"], other["merged"]) == (None, None, False)
    repository(origin, "update-ref", "-d", "refs/heads/other")
    assert status(origin) == {"repository": "app.git", "main": None, "branches": [], "more": False}
    assert origin.says("manager", "git-status").stdout == "app.git has no commits yet.\n"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07title", "\\x1b[2J\\x1b]0;owned\\x07title"),
        ("right\u202eleft", "right\\u202eleft"),
        ("joined\u200btogether", "joined\\u200btogether"),
        ("first\tline\rreturned", "first\\tline\\rreturned"),
        ('"}], "main": null, "x": ["', '"}], "main": null, "x": ["'),
        ("Für später, 你好", "Für später, 你好"),
        ("$(id) `id` {{ lookup('pipe', 'id') }}", "$(id) `id` {{ lookup('pipe', 'id') }}"),
        ("", ""),
    ],
)
def test_what_a_commit_says_is_one_harmless_line(origin: Origin, message: str, shown: str) -> None:
    hostile = "A\x1b[2J\u202eB"
    made = commit(origin, origin.heads()["main"], f"{message}\n\nbody", author=hostile)
    branch(origin, "hostile", made)
    done = origin.says("manager", "git-status --json")
    [found] = json.loads(done.stdout)["branches"]
    assert found["subject"] == (shown or "body")
    assert found["commit"] == made
    assert found["author"] == "A\\x1b[2J\\u202eB"
    lines = origin.says("manager", "git-status").stdout.split("\n")
    assert len(lines) == 4, "a heading, two branches, an end"
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("--upload-pack=id", "--upload-pack=id"),
        ("-x", "-x"),
        ("a;id", "a;id"),
        ("$(id)`id`|id", "$(id)`id`|id"),
        ("{{x}}", "{{x}}"),
        ("\u202egnp", "\\u202egnp"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("x" * 240, "x" * 200),
        # What git would refuse to make, and takes for a damaged file.
        ("main..topic", None),
        ("a b", None),
        ("a\x1bb", None),
    ],
)
def test_names_of_branches_are_words_and_nothing_else(origin: Origin, name: str, shown: str | None) -> None:
    first = origin.heads()["main"]
    lines = [f"{first} refs/heads/{each}" for each in sorted(("main", name))]
    packed = "\n".join(["# pack-refs with: peeled fully-peeled sorted ", *lines, ""])
    (origin.repository / "packed-refs").write_text(packed)
    done = origin.says("manager", "git-status --json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["main"]["commit"] == first
    assert [entry["name"] for entry in found["branches"]] == ([shown] if shown else [])


def test_a_commit_that_says_too_much_is_told_without_it(origin: Origin) -> None:
    """Signs without width fill no column, so that git cuts nothing off."""
    first = origin.heads()["main"]
    message = origin.root / "message"
    message.write_text("a" + "\u0301" * 400_000)
    tree = empty_tree(origin)
    branch(origin, "long", repository(origin, "commit-tree", "-p", first, "-F", str(message), tree))
    branch(origin, "wide", commit(origin, first, "w" * 30_000))
    found = {entry["name"]: entry for entry in status(origin)["branches"]}
    assert found["long"]["subject"] == "(too long to be shown)"
    assert (found["long"]["ahead"], found["long"]["merged"]) == (1, False)
    assert len(found["wide"]["subject"]) == 200


def test_many_branches_are_bounded_and_the_newest_are_shown(origin: Origin) -> None:
    first = origin.heads()["main"]
    lines = "".join(
        f"create refs/heads/b{number} {commit(origin, first, str(number), when=1_900_000_000 + number)}\n"
        for number in range(git_status.MOST_BRANCHES + 3)
    )
    done = run("sh", "-c", f"git --git-dir={origin.repository} update-ref --stdin <<'E'\n{lines}E",
               cwd=origin.root, env=origin.environment("nobody"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = status(origin)
    assert found["more"] is True
    newest = [f"b{number}" for number in range(git_status.MOST_BRANCHES + 2, 2, -1)]
    assert [entry["name"] for entry in found["branches"]] == newest
    assert found["main"]["commit"] == first
    assert "more than these 50" in origin.says("manager", "git-status").stdout


@pytest.mark.parametrize("name", ["other.git", "../git/app.git", "app.git/objects", "linked.git", ""])
def test_no_other_path_is_a_repository(origin: Origin, name: str) -> None:
    (origin.directory / "linked.git").symlink_to(origin.root / "seed" / ".git")
    done = origin.says("manager", f"git-status '{name}'")
    assert (done.returncode, done.stdout) == (77, "")


def test_settings_of_the_repository_run_nothing(origin: Origin) -> None:
    marker = origin.root / "ran"
    (origin.repository / "config").open("a").write(
        f"[log]\nshowSignature = true\n[gpg]\nprogram = touch {marker}\n[core]\npager = touch {marker}\n"
        f"[alias]\nrev-list = !touch {marker}\n"
    )
    assert status(origin)["main"]["subject"] == "first"
    assert not marker.exists()


def test_a_damaged_repository_is_one_clear_line(origin: Origin) -> None:
    objects: Path = origin.repository / "objects"
    objects.rename(origin.root / "away")
    done = origin.says("manager", "git-status")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("git-status: ")
