"""The applications stand alone, and what they have in common on purpose stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.releases import spec_file

APP = Path(__file__).parents[2] / "app"
# Each is a build context and a release of its own, so that none can take these from another one.
COPIES = {
    "about.py": ["backend/backend", "desktop-app/desktop_app", "mobile-backend/mobile_backend"],
    "follow.py": ["backend/backend", "mobile-backend/mobile_backend"],
    "schema.py": ["backend/backend", "mobile-backend/mobile_backend"],
    "web.py": ["backend/backend", "mobile-backend/mobile_backend"],
}


@pytest.mark.parametrize("name", COPIES)
def test_what_is_in_common_is_the_same_to_the_byte(name: str) -> None:
    assert sorted(str(file.parent.relative_to(APP)) for file in APP.glob(f"*/*/{name}")) == COPIES[name]
    assert len({(APP / folder / name).read_bytes() for folder in COPIES[name]}) == 1


def test_no_application_takes_anything_from_beside_it() -> None:
    files = [path for path in APP.rglob("*") if path.is_symlink() or path.name == "Dockerfile"]
    assert len(files) >= 4
    for file in files:
        assert not file.is_symlink(), f"{file} would lead nowhere in a release"
        assert "../" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in APP.glob("*/Dockerfile")))
def test_each_says_what_its_releases_are_made_of(folder: str) -> None:
    spec = spec_file.read(APP / folder)
    assert spec.test is not None
    if spec.start:
        package, _, function = spec.start.app.partition(":")
        source = (APP / folder / f"{package.replace('.', '/')}.py").read_text()
        assert f"\ndef {function}(" in source
    # What goes into a release goes into the image, too.
    ignored = (APP / folder / ".dockerignore").read_text().split()
    assert "!release.yml" in ignored
    assert {f"!{name}" for name in spec.files if (APP / folder / name).exists()} <= set(ignored)
    migrations = sorted((APP / folder).glob("*/migrations/*.sql"))
    assert spec.schema_min <= int(migrations[-1].name[:4]) if migrations else spec.schema_min == 0
