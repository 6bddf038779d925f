#!/usr/bin/env python3
"""Measure what `verify` costs over an audit log of a million lines, the first time and after it; prints one JSON object.

    python tests/bench/verify.py [--lines 1000000] [--folder /tmp]

The log is as its writer and the monitor's daemon leave it: one file that is written, full ones before it, a copy of each.
Figures are seconds, and MiB of memory at the peak; each pass is a process of its own. The exit status is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.dockfra.core.plugins.module_utils.audit import copies, rotation  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.audit.files import BEGINNING, full_name  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.audit.lines import START, digest, encode  # noqa: E402

# The bar: a pass after the first.
MAX_SECONDS = 1.0
MAX_MIB = 64.0

# What a pass does, and what it remembers for the next.
PASS = """
import json, resource, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import verify

folder = Path(sys.argv[2])
verify.LOGS, verify.COPIES, verify.HEADS = folder / "logs", folder / "copies", folder / "heads.json"
began = time.monotonic()
logs, problems = verify._logs(["git"])
seconds = time.monotonic() - began
assert not problems and not logs[0]["problems"], (problems, logs)
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": round(seconds, 3), "mib": round(mib, 1), "lines": logs[0]["lines"]}))
"""


def write_log(path: Path, lines: int) -> None:
    """Write a log of so many calls as its writers do, without a sync for each line."""
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    previous, generation, written = START, 1, 0
    file = path.open("wb")
    for number in range(lines):
        if file.tell() >= rotation.LIMIT:
            file.close()
            path.rename(full_name(str(path), generation))
            generation += 1
            file = path.open("wb")
            beginning = {"generation": generation, "oldest": 1, "lines": written}
            text = encode({BEGINNING: beginning}, moment, previous)
            file.write(text + b"\n")
            previous, written = digest(text), written + 1
        entry = {
            "caller": "developer",
            "role": "git",
            "verb": "git-upload-pack",
            "arguments": ["app.git"],
            "verdict": "allowed",
            "result": 0,
            "duration": number % 1000 / 1000,
        }
        text = encode(entry, moment, previous)
        file.write(text + b"\n")
        previous, written = digest(text), written + 1
    file.close()


def one_pass(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-c", PASS, str(ROOT / "collections"), str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the log is made, and removed afterwards")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dockfra-bench-", dir=options.folder))
    try:
        (folder / "logs").mkdir()
        path = folder / "logs" / "git.jsonl"
        write_log(path, options.lines)
        began = time.monotonic()
        copies.follow(path, folder / "copies" / "git")
        copied = time.monotonic() - began
        found = {
            "lines": options.lines,
            "mib": round(sum(file.stat().st_size for file in path.parent.iterdir()) / 2**20, 1),
            "files": len(list(path.parent.iterdir())),
            "copy_seconds": round(copied, 3),
            "first": one_pass(folder),
            "next": one_pass(folder),
        }
        print(json.dumps(found, indent=2))
        following = found["next"]
        assert isinstance(following, dict)
        return int(following["seconds"] >= MAX_SECONDS or following["mib"] >= MAX_MIB)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
