"""What a release is made of: dated notes, and one version everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tests" / "tools" / "release_notes.py"
COLLECTION = ROOT / "collections" / "ansible_collections" / "dockfra" / "core"


def notes(version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, version], capture_output=True, text=True)


def version() -> str:
    return str(yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["version"])


def test_the_version_has_notes_with_a_date() -> None:
    done = notes(version())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### ")
    assert "\n## " not in done.stdout


@pytest.mark.parametrize("wrong", ["9.9.9", "Unreleased", ""])
def test_no_notes_are_a_failure(wrong: str) -> None:
    done = notes(wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert "write '## [" in done.stderr


def test_both_change_logs_know_the_version_and_the_same_date() -> None:
    dates = dict(re.findall(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    releases = yaml.safe_load((COLLECTION / "changelogs" / "changelog.yaml").read_text())["releases"]
    assert dates == {name: str(release["release_date"]) for name, release in releases.items()}
    assert max(dates, key=lambda name: tuple(map(int, name.split(".")))) == version()


def test_the_archive_of_the_collection_can_be_built(tmp_path: Path) -> None:
    """With everything that has to be in it, and nothing of the tests' output."""
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    done = subprocess.run(
        [galaxy, "collection", "build", COLLECTION, "--output-path", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [archive] = tmp_path.glob("*.tar.gz")
    assert archive.name == f"dockfra-core-{version()}.tar.gz"
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True).stdout.split()
    assert {"galaxy.yml", "MANIFEST.json", "README.md", "plugins/module_utils/errors.py"} <= {
        *listed,
        "galaxy.yml",
    }
    assert not [name for name in listed if "__pycache__" in name or name.startswith("tests/output")]
