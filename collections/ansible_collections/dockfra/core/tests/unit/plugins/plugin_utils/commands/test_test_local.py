# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""test-local runs real tests and never calls a run without tests a success."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, UsageError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call, Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.developer import test_local

PLACE = Place("developer", "ssh-developer", Policy({}, {}), {})
COMMAND = grammar.find("test-local", "developer", "developer")

Run = Callable[..., tuple[dict[str, Any], int]]

GOOD = "import part\n\ndef test_it():\n    assert part.answer() == 42\n"
BAD = "def test_good(): pass\n\nclass TestIt:\n    def test_bad(self): assert 'this' == 'that'\n"
SKIPPED = "import pytest\n\ndef test_it(): pytest.skip('no server')\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with the part good, and an environment for it."""
    tree = tmp_path / "tree"
    tree.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    monkeypatch.chdir(tree)
    monkeypatch.setattr(test_local, "ENVIRONMENTS", tmp_path / "environments")
    (tmp_path / "environments" / "requirements").mkdir(parents=True)
    part(tree, "good", GOOD)
    return tree


def part(tree: Path, name: str, tests: str, environment: bool = True) -> Path:
    folder = tree / name
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "test_part.py").write_text(tests)
    (folder / "part.py").write_text("def answer():\n    return 42\n")
    (folder / "requirements-test.txt").write_text("pytest\n")
    if environment:
        programs = test_local.ENVIRONMENTS / name / "bin"
        programs.mkdir(parents=True)
        # This Python by its real name: a link would lose its packages.
        (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (programs / "python").chmod(0o755)
        (test_local.ENVIRONMENTS / "requirements" / f"{name}.txt").write_text("pytest\n")
    return folder


@pytest.fixture
def run(tree: Path) -> Run:
    def run(*words: str) -> tuple[dict[str, Any], int]:
        call = Call("test-local", "developer", PLACE, COMMAND.parse(words), io.BytesIO())
        data = COMMAND.run(call)
        assert COMMAND.render(data, Style())
        return json.loads(json.dumps(data)), COMMAND.exit_status(data)

    return run


def states(data: dict[str, Any]) -> dict[str, str]:
    return {part["part"]: part["state"] for part in data["parts"]}


def test_all_parts_pass(tree: Path, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    part(tree, "also-good", GOOD)
    data, status = run()
    assert status == 0
    assert data["passed"]
    assert states(data) == {"also-good": "passed", "good": "passed"}
    assert [(part["tests"], part["failed"], part["note"]) for part in data["parts"]] == [(1, 0, "")] * 2
    out, _err = capfd.readouterr()
    assert "== good" in out
    assert out.count("1 passed") == 2


def test_one_failure_fails_all_and_is_named(tree: Path, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    part(tree, "bad", BAD)
    data, status = run()
    assert status == 1
    assert states(data) == {"bad": "failed", "good": "passed"}
    bad = data["parts"][0]
    assert (bad["tests"], bad["failed"]) == (2, 1)
    assert bad["failures"] == ["tests.test_part.TestIt::test_bad"]
    assert "AssertionError" in capfd.readouterr().out


def test_chosen_parts_only(tree: Path, run: Run) -> None:
    part(tree, "bad", BAD)
    data, status = run("good", "good")
    assert (states(data), status) == ({"good": "passed"}, 0)


@pytest.mark.parametrize(
    ("tests", "state"),
    [
        (SKIPPED, "no tests"),
        ("", "no tests"),
        ("import nothing_of_that_name\n", "failed"),
        ("import os\n\ndef test_it(): os._exit(0)\n", "no tests"),
    ],
)
def test_nothing_that_ran_is_no_success(tree: Path, run: Run, tests: str, state: str) -> None:
    part(tree, "empty", tests)
    data, status = run("empty")
    assert (states(data), status) == ({"empty": state}, 1)


def test_json_leaves_the_output_to_the_data(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run("--json")
    out, err = capfd.readouterr()
    assert out == ""
    assert "1 passed" in err


def test_an_unknown_part_and_a_tree_without_tests(
    tree: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no part '../good' with tests; there are good"):
        run("../good")
    (tmp_path / "bare").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "bare", check=True)
    monkeypatch.chdir(tmp_path / "bare")
    with pytest.raises(CommandError, match="has no part with tests, so none ran"):
        run()


def test_a_part_the_container_has_no_packages_for(tree: Path, run: Run) -> None:
    part(tree, "new", GOOD, environment=False)
    with pytest.raises(CommandError, match="no packages for the tests of new"):
        run()


def test_changed_requirements_are_told(tree: Path, run: Run) -> None:
    (tree / "good" / "requirements-test.txt").write_text("pytest\nhttpx\n")
    data, status = run()
    assert status == 0
    assert "not the one this container was built with" in data["parts"][0]["note"]


def test_nothing_is_left_in_the_work_tree_and_no_settings_of_the_caller_reach_pytest(
    tree: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.setenv("PYTHONPATH", os.devnull)
    (tree / "good" / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    before = sorted(tree.rglob("*"))
    data, _status = run()
    assert states(data) == {"good": "passed"}
    assert sorted(tree.rglob("*")) == before
