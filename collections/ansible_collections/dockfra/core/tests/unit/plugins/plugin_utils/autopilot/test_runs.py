# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Playbooks of the autopilot, run by the real ansible-runner: what they get and do not get, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import AutopilotError
from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import process_start
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.playbook import Outcome
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS


@pytest.fixture(autouse=True)
def ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbook, "PYTHON", sys.executable)
    monkeypatch.setattr(playbook, "COLLECTIONS", str(COLLECTIONS))


class Run:
    """A place where playbooks run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"

    def write(self, tasks: str) -> Path:
        path = self.folder / "play.yml"
        head = "- name: Play\n  hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n"
        path.write_text(head + textwrap.indent(textwrap.dedent(tasks), "    "))
        return path

    def __call__(self, tasks: str, seconds: float = 60.0, **variables: str) -> Outcome:
        outcome = playbook.run(self.write(tasks), variables, self.runs, seconds)
        assert list(self.runs.iterdir()) == []
        assert playbook._marked(str(self.runs)) == []
        return outcome


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_what_is_well_is_no_failure_and_the_first_failure_is_the_reason(run: Run) -> None:
    assert run("- ansible.builtin.debug:\n") == Outcome("")
    outcome = run(
        """
        - ansible.builtin.fail:
            msg: no, because of this
        - ansible.builtin.fail:
            msg: never
        """
    )
    assert outcome.message == "play.yml: no, because of this"
    assert outcome.failures == {"localhost": "no, because of this"}


def test_a_playbook_that_is_none_is_told(run: Run) -> None:
    assert "no.such.module" in run("- no.such.module:\n").message


# The first two each time.
HOSTILE = (
    "{{ lookup('pipe', 'touch MARK') }}",
    "'\"\n- hosts: all\n  tasks: []\n\u2028\u0085\ud7ff\U0001f600\\u0041",
    "{% set x = lookup('pipe', 'touch MARK') %}{{ x }}",
    "$(touch MARK)",
    "`touch MARK`",
    "!unsafe {{ 1 + 1 }}",
    "--extra-vars=x=1",
)


@pytest.mark.parametrize(
    "text", [*HOSTILE[:2], *(pytest.param(text, marks=pytest.mark.slow) for text in HOSTILE[2:])]
)
def test_a_value_is_no_template_and_comes_as_it_is(run: Run, text: str) -> None:
    mark = run.folder / "mark"
    text = text.replace("MARK", str(mark))
    outcome = run(
        """
        - ansible.builtin.copy:
            content: "{{ action_text }}"
            dest: "{{ action_to }}"
        - ansible.builtin.command:
            argv: [/bin/true, "{{ action_text }}"]
        """,
        action_text=text,
        action_to=str(run.folder / "copy"),
    )
    assert outcome.message == ""
    assert (run.folder / "copy").read_bytes().decode() == text
    assert not mark.exists()


def test_nothing_of_the_caller_s_environment_is_there_and_no_value_on_a_command_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "canary-in-the-environment")
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "false")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    outcome = run(
        """
        - ansible.builtin.raw: |
            tr '\\0' '\\n' </proc/self/environ >"{{ action_to }}"
            for each in $(ps -o pid= --ppid $(cat /proc/$PPID/stat | cut -d ' ' -f 4)) $PPID $$; do cat /proc/$each/cmdline; done >"{{ action_to }}.lines"
            grep -r -l canary-in "$DOCKFRA_PILOT_RUN" >"{{ action_to }}.files"; find "$DOCKFRA_PILOT_RUN" -perm /077 ! -type l >"{{ action_to }}.open"
            grep -rl canary-as-[v]alue "$DOCKFRA_PILOT_RUN" >"{{ action_to }}.values"
            true
        """,
        action_to=str(run.folder / "seen"),
        action_other="canary-as-value",
    )
    assert outcome.message == ""
    environment = dict(line.partition("=")[::2] for line in (run.folder / "seen").read_text().splitlines())
    assert "OPENROUTER_API_KEY" not in environment
    assert "PYTHONPATH" not in environment
    assert environment["ANSIBLE_HOST_KEY_CHECKING"] == "true"
    assert (run.folder / "seen.files").read_text() == ""
    values = (run.folder / "seen.values").read_text().split()
    assert [Path(path).name for path in values] == ["extravars"]
    assert b"canary-as-value" not in (run.folder / "seen.lines").read_bytes()
    opened = [path for path in (run.folder / "seen.open").read_text().split() if "/ansible" not in path]
    assert opened == []


def test_answers_come_by_host_and_one_that_fails_keeps_none_of_the_others(run: Run) -> None:
    path = run.write(
        """
        - ansible.builtin.set_fact:
            json: "{{ {'number': number} }}"
          when: number == 0
        - dockfra.core.gate:
            service: nowhere
            verb: [status]
            ssh_config: "{{ playbook_dir }}/ssh_config"
          when: number == 2
        - dockfra.core.gate:
            service: here
            verb: [status]
            check_safe: true
            ssh_config: "{{ playbook_dir }}/ssh_config"
        """
    )
    (run.folder / "ssh_config").write_text(
        "Host here\n  ProxyCommand false\nHost nowhere\n  ProxyCommand false\n"
    )
    outcome = playbook.run(path, {}, run.runs, 60, {"one": {"number": 1}, "two": {"number": 2}})
    assert set(outcome.failures) == {"one", "two"}
    assert outcome.failed
    assert list(run.runs.iterdir()) == []


def test_only_an_absolute_path_is_a_playbook(run: Run) -> None:
    for name in ("--version", "../x.yml", "play.yml"):
        with pytest.raises(AutopilotError, match="absolute"):
            playbook.run(Path(name), {}, run.runs, 10)
    assert "no playbook" in playbook.run(run.folder / "gone.yml", {}, run.runs, 10).message


SLEEPS = """
- ansible.builtin.raw: |
    (trap '' TERM HUP INT; setsid sleep 611 & echo $! >>"{{ action_to }}"; exec sleep 612) &
    echo $$ >>"{{ action_to }}"; exec sleep 613
"""


def pids(path: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return list(map(int, path.read_text().split()))


def gone(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(run: Run) -> None:
    """Ansible's workers leave their process group, and a shell of theirs takes no signal."""
    outcome = run(SLEEPS, 6.0, action_to=str(run.folder / "pids"))
    assert outcome.message == "the playbook play.yml did not end within 6 s, and was ended"
    assert not [pid for pid in pids(run.folder / "pids", 2) if process_start(pid)]


PROGRAM = """
    import sys, pathlib
    sys.path.insert(0, {collections!r})
    from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import playbook
    playbook.PYTHON, playbook.COLLECTIONS = sys.executable, {collections!r}
    folder = pathlib.Path({folder!r})
    playbook.run(folder / "play.yml", {{"action_to": str(folder / "pids")}}, folder / "runs", 60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_whoever_waits_for_it(run: Run, number: signal.Signals) -> None:
    run.write(SLEEPS)
    program = textwrap.dedent(PROGRAM.format(collections=str(COLLECTIONS), folder=str(run.folder)))
    process = subprocess.Popen([sys.executable, "-c", program])
    started = pids(run.folder / "pids", 2)
    process.send_signal(number)
    process.wait(30)
    gone(lambda: not any(map(process_start, started)) and not playbook._marked(str(run.runs)))
    playbook.clean(run.runs)
    assert list(run.runs.iterdir()) == []


def test_what_a_killed_run_has_left_is_ended_and_removed(run: Run) -> None:
    """The process of the run and whoever waits for it were killed together, as where memory runs out."""
    run.write(SLEEPS)
    program = textwrap.dedent(PROGRAM.format(collections=str(COLLECTIONS), folder=str(run.folder)))
    process = subprocess.Popen([sys.executable, "-c", program])
    started = pids(run.folder / "pids", 2)
    marked = playbook._marked(str(run.runs))
    leader = min(marked, key=lambda pid: int(process_start(pid) or 0))
    os.kill(leader, signal.SIGKILL)
    process.kill()
    process.wait(30)
    playbook.clean(run.runs)
    assert not any(map(process_start, started))
    assert playbook._marked(str(run.runs)) == []
    assert list(run.runs.iterdir()) == []
