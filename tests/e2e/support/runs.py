"""Runs of the project's playbooks, each with its output kept as a log."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[3]
REPORTS = Path(os.environ.get("DOCKFRA_REPORTS") or ROOT / ".tests")
# With DOCKFRA_SERVERS=1 the platform of the tests is on the two servers of molecule's scenario `production`.
SERVERS = bool(os.environ.get("DOCKFRA_SERVERS"))
# A part of the tests (tests/e2e/conftest.py), empty for all of them; the second part has a platform of its own beside the first.
PART = os.environ.get("DOCKFRA_E2E_PART", "")
BESIDE = PART == "second"
INVENTORY = (
    "molecule/production/inventory" if SERVERS else "tests/inventory_beside" if BESIDE else "tests/inventory"
)
VAULT = ("--vault-id", f"production@{ROOT}/tests/servers/vault_password.py")
# This machine's engine has most images already. That a server builds them is for the scenario itself.
BUILT_HERE = ("-e", "dockfra_build_host=localhost")
# Seconds, also for a first start that builds all images while other tests take their part of the machine.
TIMEOUT = 1200
# Seconds for one command. It ends what hangs: beside other tests anything that works may be slow.
PATIENCE = 600

_BIN = Path(sys.executable).parent
_RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
_numbers = itertools.count(1)


@dataclass
class Run:
    """A playbook run that has ended."""

    code: int
    output: str
    log: Path
    seconds: float

    @property
    def changed(self) -> int:
        """Changed tasks over all hosts."""
        return sum(int(match[3]) for match in _RECAP.finditer(self.output))

    @property
    def hosts(self) -> set[str]:
        """The hosts of the recap."""
        return {match[1] for match in _RECAP.finditer(self.output)}

    @property
    def errors(self) -> list[str]:
        """What the end of the output says went wrong, a line each."""
        return re.findall(r"^FAILED (.*)$", self.output, re.MULTILINE)

    def ok(self) -> Run:
        """This run, which must have succeeded."""
        assert self.code == 0, f"exit status {self.code}, see {self.log}:\n{self.output[-3000:]}"
        return self


@dataclass
class Started:
    """A playbook run that may still be going on."""

    process: subprocess.Popen[bytes]
    log: Path
    begin: float = field(default_factory=time.monotonic)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 120) -> str:
        """Wait until the output matches; returns the match."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.output(), re.MULTILINE):
                return found[0]
            assert not ended, (
                f"ended before its output showed {pattern!r}, see {self.log}:\n{self.output()[-3000:]}"
            )
            time.sleep(0.1)
        raise AssertionError(f"no {pattern!r} in {timeout} s, see {self.log}")

    def kill(self, number: signal.Signals) -> None:
        """Send a signal as a terminal would: to the run and all it has started."""
        os.killpg(self.process.pid, number)

    def interrupt(self, patience: float = 20) -> None:
        """Press Ctrl-C, and again when nothing happens.

        Ansible can lose the first one: Python drops a KeyboardInterrupt that falls into the clean-up behind a fork.
        """
        for _time in range(3):
            self.kill(signal.SIGINT)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self, timeout: float = TIMEOUT) -> Run:
        """Wait until the run has ended."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            self.process.wait()
            raise AssertionError(
                f"still running after {timeout} s, see {self.log}:\n{self.output()[-3000:]}"
            ) from None
        except KeyboardInterrupt:
            # It has a session of its own, so Ctrl-C has not reached it.
            self.kill(signal.SIGTERM)
            raise
        return Run(code, self.output(), self.log, time.monotonic() - self.begin)


def environment(root: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a run: this one without what would direct it elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{_BIN}:{kept.get('PATH', '')}",
        **(changes or {}),
    }


def start(
    playbook: str,
    *options: str,
    root: Path = ROOT,
    inventories: Sequence[str | Path] = (INVENTORY,),
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    name: str = "",
) -> Started:
    """Start ``ansible-playbook`` in a project tree; its output goes to a log of its own.

    Args:
        playbook: relative to the project.
        options: of ansible-playbook.
        root: the project tree.
        inventories: given with ``-i``.
        env: changes to the environment.
        prefix: a command that runs ansible-playbook, such as setpriv.
        name: names the log.
    """
    folder = REPORTS / ("ansible-beside" if BESIDE else "ansible")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{next(_numbers):02d}-{name or Path(playbook).stem}.log"
    given = [word for inventory in inventories for word in ("-i", str(inventory))]
    given += (*VAULT, *BUILT_HERE) if SERVERS else ()
    command = [*prefix, str(_BIN / "ansible-playbook"), playbook, *given, *options]
    stream: IO[bytes]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment(root, env),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(process, log)


def playbook(
    path: str,
    *options: str,
    root: Path = ROOT,
    inventories: Sequence[str | Path] = (INVENTORY,),
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    name: str = "",
    timeout: float = TIMEOUT,
) -> Run:
    """Run a playbook to its end; options as those of `start`."""
    return start(path, *options, root=root, inventories=inventories, env=env, prefix=prefix, name=name).end(
        timeout
    )


def copy_tree(target: Path) -> Path:
    """Copy the project as a clone would have it, with what is not committed yet but not ignored either."""
    listed = subprocess.run(
        [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
    )
    assert listed.returncode == 0, listed.stderr.decode()
    names = [
        name for name in listed.stdout.split(b"\0") if name and os.path.lexists(ROOT / os.fsdecode(name))
    ]
    target.mkdir(parents=True)
    packed = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"],
        cwd=ROOT,
        input=b"\0".join(names),
        stdout=subprocess.PIPE,
        check=True,
    )
    subprocess.run(["tar", "--extract", "--directory", str(target)], input=packed.stdout, check=True)
    return target
