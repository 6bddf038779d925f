"""The applications stand alone, and what they have in common on purpose stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
# Each is a build context and a release of its own, so that none can take these from another one.
COPIES = {
    "about.py": ["backend/backend", "desktop-app/desktop_app", "mobile-backend/mobile_backend"],
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
