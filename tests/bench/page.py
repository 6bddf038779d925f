#!/usr/bin/env python3
"""Measure how soon the web page is seen, in a browser that has nothing of it yet; prints one JSON object.

    python tests/bench/page.py [--rounds 7] [--url https://localhost:10443/]

By default of the tests' own platform (tests/inventory), which has to be up. Figures are seconds, the median of the rounds: until the browser
first draws something of the page, and until the page says how the services are. Each round is a browser context of its own, with an
empty cache; the first one, in which the browser itself starts, does not count. The exit status is 1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from playwright.sync_api import Browser, Error, expect  # noqa: E402  the path comes first

from tests.e2e.support.browser import DESK, opened, started  # noqa: E402
from tests.e2e.support.platform import Platform, read_topology  # noqa: E402

# The project's bar (docs/performance.md).
MAX_FIRST_PAINT_S = 1.0

_PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0] ?? null"
_PATIENCE = 30.0


def seen(browser: Browser, url: str) -> tuple[float, float]:
    """Open the page once, and return after how many seconds something is drawn, and what the platform says of its services."""
    context = browser.new_context(viewport=DESK)
    try:
        page = context.new_page()
        began = time.monotonic()
        page.goto(url, wait_until="commit")
        expect(page.locator("#summary")).not_to_have_text("Loading…", timeout=_PATIENCE * 1000)
        told = time.monotonic() - began
        while (painted := page.evaluate(_PAINTED)) is None:
            if time.monotonic() - began > _PATIENCE:
                raise TimeoutError(f"{url} draws nothing within {_PATIENCE:g} s")
            time.sleep(0.02)
        return float(painted) / 1000, told
    finally:
        context.close()


def main() -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--url", default="", help="of another page, whose certificate the machine trusts")
    options = parser.parse_args()
    try:
        platform = None if options.url else Platform(read_topology())
        url = platform.url() if platform else options.url
        browser: AbstractContextManager[Browser] = opened(platform) if platform else started()
        with browser as running:
            rounds = [seen(running, url) for _round in range(options.rounds + 1)][1:]
    except (OSError, Error, AssertionError) as error:
        print(error, file=sys.stderr)
        return 1
    painted, told = zip(*rounds, strict=True)
    result = {"first_paint_s": statistics.median(painted), "services_told_s": statistics.median(told)}
    result = {key: round(value, 3) for key, value in result.items()}
    met = result["first_paint_s"] < MAX_FIRST_PAINT_S
    print(
        json.dumps({"rounds": options.rounds, **result, "max_first_paint_s": MAX_FIRST_PAINT_S, "met": met})
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
