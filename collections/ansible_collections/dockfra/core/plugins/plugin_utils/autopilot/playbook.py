# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A playbook of the autopilot, run here: the one file that touches ansible-runner.

Each run has a process and a directory of its own. The process begins with an environment of a few names, gets what it has to know on its
input, and runs Ansible by ansible-runner; it ends with whoever waits for it, and with it all that it has started. The directory is
removed with all that ansible-runner has written there. Values never stand on a command line, and are no templates.

What a run that was killed has left is known by its directory, which all its processes have in their environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ...module_utils.answers.data import decoded
from ...module_utils.errors import AutopilotError, LateError, TooMuchError
from ...module_utils.processes import child, tree
from ..cli import ansible_runs
from ..cli.codes import line as one_line

PYTHON = ansible_runs.PYTHON
COLLECTIONS = ansible_runs.COLLECTIONS

# Names the directory of its run in the environment of each process.
MARK = "DOCKFRA_PILOT_RUN"

# Bytes and values of all that a run answers, three gates' together.
MOST = 26 * 1024 * 1024
MOST_VALUES = 1_250_000

_BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); from {} import main; main()"


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        message: the first reason why it failed; empty where it did not.
        answers: what the last task with ``json`` in its result had there, by host.
        failures: why tasks failed, by host.
    """

    message: str
    answers: Mapping[str, Any] = {}
    failures: Mapping[str, str] = {}

    @property
    def failed(self) -> bool:
        return bool(self.message)


def run(
    playbook: Path,
    variables: Mapping[str, str],
    folder: Path,
    seconds: float,
    hosts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Outcome:
    """Run a playbook to its end, and leave nothing of it; that it failed is how it ended, and no error.

    Args:
        playbook: its file, an absolute path that no caller of ours was given.
        variables: texts, by name.
        folder: where the directory of the run is made.
        seconds: how long it may take; then all of it is ended.
        hosts: the variables of each host, by name; by default there is only ``localhost``.

    Raises:
        AutopilotError: it cannot be run here.
    """
    if not playbook.is_absolute():
        raise AutopilotError(f"The playbook {playbook} has no absolute path; nothing was run.")
    if not playbook.is_file():
        return Outcome(f"there is no playbook {playbook}; run site.yml again")
    program = _BEGIN.format(__name__)
    try:
        with _directory(folder) as own:
            request = {"folder": str(own), "playbook": str(playbook), "variables": dict(variables)}
            known = hosts or {"localhost": {}}
            # Modules run by the Python that Ansible itself has.
            request["hosts"] = {name: {"ansible_python_interpreter": PYTHON, **known[name]} for name in known}
            path = f"{Path(PYTHON).parent}:{os.environ.get('PATH', os.defpath)}"
            # Nothing of this process's environment but names that Ansible has to have.
            environment = {**ansible_runs.environment(own, COLLECTIONS), "PATH": path, MARK: str(own)}
            done = child.run(
                [PYTHON, "-I", "-c", program, COLLECTIONS],
                data=json.dumps(request).encode(),
                timeout=seconds,
                limit=MOST,
                env=environment,
                cwd=own,
            )
            return _outcome(playbook, done)
    except LateError:
        return Outcome(f"the playbook {playbook.name} did not end within {seconds:g} s, and was ended")
    except TooMuchError as error:
        return Outcome(f"the playbook {playbook.name}: {error}, and was ended")
    except OSError as error:
        what = error.filename or folder
        raise AutopilotError(f"No playbook can be run here: {what}: {error.strerror}.") from error


def clean(folder: Path) -> None:
    """End and remove what runs have left that were killed. Only whoever holds the lock of the cycles may do that.

    Raises:
        AutopilotError: a directory cannot be removed.
    """
    end(folder)
    try:
        for left in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(left)
    except OSError as error:
        raise AutopilotError(
            f"What a run has left in {folder} cannot be removed: {error.strerror}."
        ) from error


def end(folder: Path) -> None:
    """End all processes of the runs in a directory, or of the one run whose directory it is."""
    for process in _marked(str(folder)):
        tree.end(process)


@contextmanager
def _directory(folder: Path) -> Iterator[Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    try:
        yield own
    finally:
        # Whatever has left its parents.
        end(own)
        shutil.rmtree(own, ignore_errors=True)


def _marked(folder: str) -> list[int]:
    """The processes that have the directory, or one in it, in their environment."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    variables = file.read(256 * 1024).split(b"\0")
            except OSError:
                continue
            if any(each == mark or each.startswith(mark + b"/") for each in variables):
                found.append(int(entry))
    return found


def _outcome(playbook: Path, done: child.Ended) -> Outcome:
    try:
        said = decoded(done.output, MOST_VALUES)
        answers, failures, reason = said["answers"], said["failures"], str(said["reason"])
    except (ValueError, KeyError, TypeError):
        told = done.errors.decode(errors="replace").strip().splitlines()
        answers, failures = {}, {}
        reason = told[-1] if told else f"it ended with {done.status} and said nothing"
    message = _line(f"{playbook.name}: {reason}") if reason else ""
    return Outcome(message, answers, {str(name): _line(str(why)) for name, why in failures.items()})


def _line(text: str) -> str:
    return one_line("", text).removeprefix(": ")


# In the process of the run -------------------------------------------------------------------------------------------


class _Events:
    """Takes what ansible-runner says of tasks, while they run; keeps what is asked for and lets nothing be stored."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.failures: dict[str, str] = {}
        self.reason = ""

    def take(self, event: Mapping[str, Any]) -> bool:
        kind, data = event.get("event"), event.get("event_data") or {}
        host, result = str(data.get("host", "")), data.get("res") or {}
        if kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            why = str(result.get("msg") or "it gives no reason")
            self.failures.setdefault(host, why)
            self.reason = self.reason or (why if host == "localhost" else f"{host}: {why}")
        elif kind == "runner_on_ok" and result.get("json") is not None:
            self.answers[host] = result["json"]
        elif kind == "verbose" and not self.reason and "ERROR" in str(event.get("stdout")):
            self.reason = str(event["stdout"])
        return False


def main() -> None:
    """Do one run, as it stands on the input, and write how it ended."""
    tree.adopt()
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGINT, _ended)
    request = json.loads(sys.stdin.buffer.read())
    folder = Path(request["folder"])
    os.umask(0o077)
    _write(folder, request)
    import ansible_runner

    events = _Events()
    ran = ansible_runner.run(
        private_data_dir=str(folder),
        playbook=request["playbook"],
        inventory=str(folder / "inventory" / "hosts.json"),
        quiet=True,
        event_handler=events.take,
        # By default it takes the signals for itself, and then leaves Ansible's workers behind.
        cancel_callback=lambda: False,
    )
    tree.end()
    reason = events.reason if ran.status != "successful" else ""
    if ran.status != "successful" and not reason:
        reason = f"it ended as {ran.status}, with {ran.rc}"
    sys.stdout.write(json.dumps({"answers": events.answers, "failures": events.failures, "reason": reason}))


def _write(folder: Path, request: Mapping[str, Any]) -> None:
    """Write what ansible-runner takes from files only, so that it is on no command line."""
    import yaml

    class Unsafe(str):
        """A text that is no template."""

    class Dumper(yaml.SafeDumper):
        """Marks such texts."""

    Dumper.add_representer(
        Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"')
    )
    for name in ("env", "inventory"):
        (folder / name).mkdir(mode=0o700)
    variables = {str(name): Unsafe(text) for name, text in request["variables"].items()}
    (folder / "env" / "extravars").write_text(yaml.dump(variables, Dumper=Dumper), encoding="utf-8")
    # The output has each event once more. `ansible-runner` reads settings from that file only.
    (folder / "env" / "settings").write_text(json.dumps({"suppress_output_file": True}), encoding="utf-8")
    inventory = {"all": {"hosts": request["hosts"]}}
    (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")


def _ended(number: int, _frame: FrameType | None) -> NoReturn:
    tree.end()
    os._exit(128 + number)
