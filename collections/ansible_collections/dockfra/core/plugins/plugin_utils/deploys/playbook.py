# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A playbook of the deploys, run here: what its tasks do is told as it comes, and it ends with whoever waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...module_utils.errors import CommandError, LateError, TooMuchError
from ...module_utils.processes import child
from ..cli import ansible_runs
from ..cli.codes import line as one_line
from .blame import BlamedError

PROGRAM = ansible_runs.PROGRAM
COLLECTIONS = ansible_runs.COLLECTIONS
CALLBACK = "dockfra.core.steps"

_MAX_OUTPUT = 4 * 1024 * 1024

# How people call what Ansible says of a task's end.
_WORDS = {"ok": "done", "changed": "done"}

Tell = Callable[[str, Mapping[str, Any]], None]


def run(
    playbook: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    variables: Mapping[str, Any],
    folder: Path,
    tell: Tell,
    seconds: float,
) -> None:
    """Run a playbook on services.

    Args:
        playbook: its file.
        hosts: the variables of each service, by name; they are all that there are.
        variables: those of the whole run.
        folder: an empty directory of this run.
        tell: gets a line of what happens, and data about it.
        seconds: how long it may take.

    Raises:
        BlamedError: a task failed for what a service is made of.
        CommandError: a task failed; the message is the first that did. Or it cannot be started, or does not end in time.
    """
    inventory, given = folder / "inventory.json", folder / "variables.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    given.write_text(json.dumps(variables), encoding="utf-8")
    told = _Told(tell)
    command = [PROGRAM, "-i", str(inventory), "-e", f"@{given}", str(playbook)]
    try:
        done = child.run(
            command,
            timeout=seconds,
            limit=_MAX_OUTPUT,
            on_line=told.take,
            env=ansible_runs.environment(folder, COLLECTIONS, CALLBACK),
            cwd=folder,
        )
    except OSError as error:
        raise CommandError(f"{PROGRAM} cannot be started: {error.strerror}; run site.yml again") from error
    except LateError as error:
        raise CommandError(
            f"the playbook {playbook.name} did not end within {seconds:g} s, and was ended"
        ) from error
    except TooMuchError as error:
        raise CommandError(f"the playbook {playbook.name}: {error}, and was ended") from error
    if done.status:
        said = [
            line for line in done.errors.decode(errors="replace").splitlines() if line.startswith("[ERROR]")
        ]
        if told.blamed:
            raise BlamedError(one_line("", told.failed).removeprefix(": "), told.blamed)
        reason = told.failed or (said[0] if said else f"{playbook.name} ended with {done.status}")
        raise CommandError(one_line("", reason).removeprefix(": "))


class _Told:
    """Takes the lines of the callback `steps`, and those that tasks show while they work."""

    def __init__(self, tell: Tell) -> None:
        self.failed = self.blamed = ""
        self._tell = tell

    def take(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if not text:
            return
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "step" not in event:
            self._tell(one_line("", text).removeprefix(": "), {})
            return
        if event["result"] == "failed" and not self.failed:
            self.failed = (
                f"{event['service']}: {event['message']}" if event["service"] else str(event["message"])
            )
            self.blamed = str(event.get("blamed", ""))
        if event["result"] != "skipped":
            self._tell(_line(event), event)


def _line(event: Mapping[str, Any]) -> str:
    result = _WORDS.get(event["result"], event["result"])
    words = [event["step"], *([event["service"]] if event["service"] else []), result]
    seconds = f" after {event['seconds']:.1f} s" if event["seconds"] else ""
    return f"{' '.join(words)}{seconds}"
