"""The roles at work: lines typed in their own shells, and what each came to."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .platform import Platform, read_topology

TOPOLOGY = read_topology()
SERVICE = TOPOLOGY.places()


def as_role(platform: Platform, role: str, line: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Type a line in a role's own shell, over SSH from the host."""
    return platform.ssh(SERVICE[role], line, text=text)


@dataclass(frozen=True)
class Answer:
    """What a line that somebody typed came to."""

    code: int
    stdout: str
    stderr: str


def typed(platform: Platform, role: str, lines: Sequence[str]) -> dict[str, Answer]:
    """Type many lines, one after the other, in one login of a role, and return what each came to."""
    script = "; ".join(
        f"{{ {line}; }} >/tmp/out 2>/tmp/err </dev/null; echo $? $(base64 -w0 /tmp/out)- $(base64 -w0 /tmp/err)-"
        for line in lines
    )
    done = as_role(platform, role, script)
    answers = [answer.split(" ") for answer in done.stdout.splitlines()]
    assert len(answers) == len(lines), done.stderr
    return {
        line: Answer(int(code), *(base64.b64decode(part.rstrip("-")).decode() for part in parts))
        for line, (code, *parts) in zip(lines, answers, strict=True)
    }


def data(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
