# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The house's own rules for the collection: small files, no circle of imports, nothing written twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
PLUGINS = "ansible_collections/dockfra/core/plugins"
MOST_LINES = 500
LIBRARY = COLLECTIONS / PLUGINS / "module_utils"


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (COLLECTIONS / PLUGINS).rglob("*.py")}
    assert len(lengths) > 50
    assert {str(path): length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_code_stands_twice_and_no_imports_run_in_a_circle() -> None:
    command = [sys.executable, "-m", "pylint", "--disable=all", "--enable=duplicate-code,cyclic-import"]
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


def test_the_library_knows_nothing_of_what_stands_above_it() -> None:
    above = ("plugin_utils", "import ansible", "from ansible.", "print(")
    found = [
        f"{path.relative_to(LIBRARY)}: {line.strip()}"
        for path in sorted(LIBRARY.rglob("*.py"))
        for line in path.read_text().splitlines()
        if line.lstrip().startswith(("import ", "from ", "print(")) and any(word in line for word in above)
    ]
    assert found == []
