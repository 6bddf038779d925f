#!/usr/bin/env python3
"""Print what CHANGELOG.md says of a version, for the notes of its release.

    python tests/tools/release_notes.py 0.3.0

Exit status: 0, or 1 where the version has no section, or its section has no date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class NotesError(Exception):
    """The change log has no notes that could be published."""


def notes(text: str, version: str) -> str:
    """Return the section of a version, without its heading; raises NotesError."""
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] != version:
            continue
        if not _DATE.fullmatch(heading["date"] or ""):
            raise NotesError(f"version {version} has no date; write '## [{version}] - YYYY-MM-DD'")
        found = text[heading.end() : following.start() if following else len(text)].strip()
        # Link definitions at the end belong to the page.
        return re.sub(r"(\n\[[^\]]+\]: \S+)+\Z", "", found).strip() + "\n"
    raise NotesError(f"there is no section for version {version}; write '## [{version}] - YYYY-MM-DD'")


def main() -> int:
    if len(sys.argv) != 2:
        print(f"usage: {Path(sys.argv[0]).name} VERSION", file=sys.stderr)
        return 2
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), sys.argv[1]))
    except NotesError as error:
        print(f"{CHANGELOG.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
