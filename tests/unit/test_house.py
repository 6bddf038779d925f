# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The house's own rules for the collection: small files, no circle of imports, nothing written twice."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
PLUGINS = "ansible_collections/dockfra/core/plugins"
MOST_LINES = 500
LIBRARY = COLLECTIONS / PLUGINS / "module_utils"


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (COLLECTIONS / PLUGINS).rglob("*.py")}
    assert len(lengths) > 50
    assert {str(path): length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_code_stands_twice() -> None:
    command = [sys.executable, "-m", "pylint", "--disable=all", "--enable=duplicate-code"]
    # Comments for ansible-test's own pylint name checks of its own.
    command += [
        "--disable=unknown-option-value",
        "--min-similarity-lines=10",
        "--ignore-imports=yes",
        "--ignore-docstrings=yes",
    ]
    command += ["--ignore-signatures=yes", "--score=no", "--source-roots=.", PLUGINS]
    done = subprocess.run(command, cwd=COLLECTIONS, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def imported(path: Path) -> Iterator[str]:
    """The modules of the collection that a file imports when it is run or later; what only type checkers see is none."""
    package = path.relative_to(COLLECTIONS).parent.parts
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            # What is imported is a module or something in one.
            found = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        yield from (
            name for name in found if (COLLECTIONS / name.replace(".", "/")).with_suffix(".py").is_file()
        )


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle among modules; empty where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_imports_run_in_a_circle() -> None:
    paths = {
        ".".join(path.relative_to(COLLECTIONS).with_suffix("").parts): path
        for path in (COLLECTIONS / PLUGINS).rglob("*.py")
    }
    edges = {name: set(imported(path)) - {name} for name, path in paths.items()}
    # Both kinds of import are seen, and a circle is one.
    prefix = PLUGINS.replace("/", ".")
    engine, errors = f"{prefix}.module_utils.backups.restic", f"{prefix}.module_utils.errors"
    assert {errors, f"{prefix}.module_utils.files.atomic"} <= edges[engine]
    assert circle({**edges, errors: {engine}})
    assert circle(edges) == []


def test_the_library_knows_nothing_of_what_stands_above_it() -> None:
    above = ("plugin_utils", "import ansible", "from ansible.", "print(")
    found = [
        f"{path.relative_to(LIBRARY)}: {line.strip()}"
        for path in sorted(LIBRARY.rglob("*.py"))
        for line in path.read_text().splitlines()
        if line.lstrip().startswith(("import ", "from ", "print(")) and any(word in line for word in above)
    ]
    assert found == []
