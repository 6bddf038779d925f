"""What pytest's reports say together: the ten slowest tests, how many ran, and how much of the collection they ran.

usage: report.py [--ran] <directory of reports or one report>
Exit status 1 where no test ran.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

SLOWEST = 10
LEAST_COVERED = 5


def cases(place: Path) -> Iterator[tuple[str, float, ET.Element]]:
    """Part, seconds and element of each test in the reports at a place."""
    for report in sorted(place.glob("*.xml")) if place.is_dir() else [place]:
        if report.exists():
            for case in ET.parse(report).iter("testcase"):
                yield report.stem, float(case.get("time") or 0), case


def name(case: ET.Element) -> str:
    return f"{(case.get('classname') or '').rpartition('.')[2]}::{case.get('name')}"


def tell_coverage(report: Path) -> None:
    """Print the share of the collection that the unit tests ran, and where it is least."""
    found = json.loads(report.read_text())
    files = sorted((entry["summary"]["percent_covered"], path) for path, entry in found["files"].items())
    print(
        f"\ncoverage of the collection by its unit tests: {found['totals']['percent_covered']:.1f} %; least:"
    )
    for percent, path in files[:LEAST_COVERED]:
        print(f"{percent:8.1f} %  {path.partition('/plugins/')[2] or path}")


def main(words: list[str]) -> int:
    place = Path(words[-1])
    found = list(cases(place))
    ran = [entry for entry in found if entry[2].find("skipped") is None]
    if "--ran" not in words and ran:
        print(f"\n{len(ran)} tests ran, {len(found) - len(ran)} were skipped; the slowest, in seconds:")
        for part, seconds, case in sorted(ran, key=lambda entry: -entry[1])[:SLOWEST]:
            print(f"{seconds:8.1f}  {part:20} {name(case)}")
        if (coverage := place / "coverage.json").exists():
            tell_coverage(coverage)
    return int(not ran)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
