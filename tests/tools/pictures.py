#!/usr/bin/env python3
"""Put the pictures that the last end-to-end tests took of the page into the guides.

    ./run-tests.sh e2e -- -k pictures_of_the_guides
    python tests/tools/pictures.py

They lie in .tests/pictures, or below DOCKFRA_REPORTS, and go to docs/pictures. The exit status is 1 when there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAKEN = Path(os.environ.get("DOCKFRA_REPORTS") or ROOT / ".tests") / "pictures"
KEPT = ROOT / "docs" / "pictures"


def main() -> int:
    """Copy them, and say which."""
    pictures = sorted(TAKEN.glob("*.webp"))
    if not pictures:
        print(f"{TAKEN} has no picture; run the end-to-end tests first", file=sys.stderr)
        return 1
    KEPT.mkdir(exist_ok=True)
    for picture in pictures:
        shutil.copyfile(picture, KEPT / picture.name)
        print(f"{(KEPT / picture.name).relative_to(ROOT)} written, {picture.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
