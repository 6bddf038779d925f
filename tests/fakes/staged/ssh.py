"""In the place of ssh, for a person who logs in: real ssh says with which files, and the staged platform whether that works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakes.staged import staged

words = sys.argv[1:]
host = words[-2]
said = subprocess.run(
    ["/usr/bin/ssh", "-G", "-F", words[words.index("-F") + 1], host],
    capture_output=True,
    text=True,
    check=True,
).stdout
settings = [line.partition(" ")[::2] for line in said.splitlines()]
files = {name: Path(value) for name, value in settings if name in ("identityfile", "userknownhostsfile")}
[alias] = [value for name, value in settings if name == "hostkeyalias"]
identities = [Path(value) for name, value in settings if name == "identityfile"]
staged.watch()
open_to_others = [path for path in identities if path.stat().st_mode & 0o377]
pinned = [line.split()[:3] for line in files["userknownhostsfile"].read_text().splitlines()]
known = any(
    alias in names.split(",") and f"{kind} {key}" == staged.shows(alias) for names, kind, key in pinned
)
admitted = any(staged.admits(alias, staged.public(path.read_text())) for path in identities)
if open_to_others or not known or not admitted:
    sys.exit(f"{alias}: {open_to_others} known: {known} admitted: {admitted}")
sys.stderr.write(f"Authenticated to {alias}\n")
