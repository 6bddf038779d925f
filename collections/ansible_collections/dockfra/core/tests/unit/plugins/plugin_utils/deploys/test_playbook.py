# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Playbooks of deploys, run by a real Ansible: what is told of them, and their end."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import process_start
from ansible_collections.dockfra.core.plugins.module_utils.processes import tree
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.blame import BlamedError
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

HOSTS = {"backend": {"number": 1}, "mobile": {"number": 2}}


@pytest.fixture(autouse=True)
def ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbook, "PROGRAM", str(Path(sys.executable).parent / "ansible-playbook"))
    monkeypatch.setattr(playbook, "COLLECTIONS", str(COLLECTIONS))


class Run:
    """A run, and what it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.events: list[Mapping[str, Any]] = []

    def tell(self, text: str, data: Mapping[str, Any]) -> None:
        self.lines.append(text)
        if data:
            self.events.append(data)

    def __call__(self, tasks: str, seconds: float = 60.0, **variables: Any) -> None:
        path = self.folder / "play.yml"
        head = "- name: Play\n  hosts: all\n  connection: local\n  gather_facts: false\n  any_errors_fatal: true\n  tasks:\n"
        path.write_text(head + textwrap.indent(textwrap.dedent(tasks), "    "))
        playbook.run(path, HOSTS, variables, self.folder, self.tell, seconds)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_each_step_is_told_with_its_service(run: Run) -> None:
    run(
        """
        - name: Look
          ansible.builtin.assert:
            that: number == wanted[inventory_hostname]
        - name: Leave out
          ansible.builtin.debug:
          when: false
        """,
        wanted={"backend": 1, "mobile": 2},
    )
    assert {(event["step"], event["service"], event["result"]) for event in run.events} == {
        ("Look", name, result) for name in HOSTS for result in ("started", "ok")
    } | {("Leave out", name, "started") for name in HOSTS}
    assert "Look backend started" in run.lines


def test_the_first_failure_is_the_reason(run: Run) -> None:
    with pytest.raises(CommandError, match=r"^backend: no, because of this$"):
        run(
            """
            - name: Fail
              ansible.builtin.fail:
                msg: no, because of this
              when: number == 1
            - name: Never
              ansible.builtin.debug:
            """
        )
    assert not [event for event in run.events if event["step"] == "Never"]


def test_the_service_that_is_to_blame_is_known(run: Run) -> None:
    """As the tasks say it that build and prove."""
    with pytest.raises(BlamedError, match=r"^backend: backend does not answer") as caught:
        run(
            """
            - name: Prove
              dockfra.core.release_served:
                service: "{{ inventory_hostname }}"
                host: 127.0.0.1
                port: "{{ port }}"
                path: /health
                release: 20261125T131500Z-0123456789ab
                seconds: 0
              when: number == 1
            """,
            port=served(),
        )
    assert caught.value.service == "backend"
    with pytest.raises(CommandError, match=r"^mobile: mobile does not answer") as other:
        run(
            """
            - name: Prove
              dockfra.core.release_served:
                service: "{{ inventory_hostname }}"
                host: 127.0.0.1
                port: 1
                path: /health
                release: 20261125T131500Z-0123456789ab
                seconds: 0
              when: number == 2
            """
        )
    # That nobody can reach it says nothing of what it serves.
    assert not isinstance(other.value, BlamedError)


def served() -> int:
    """Serve errors for as long as the tests take, and return the port."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def test_a_playbook_that_is_none_is_told(run: Run) -> None:
    with pytest.raises(CommandError, match=r"syntax|unknown|couldn't resolve|Cannot resolve"):
        run("- name: What\n  no.such.module:\n")


def test_values_are_no_templates(run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    run(
        """
        - name: Show
          ansible.builtin.assert:
            that: text is search('pipe')
        """,
        text="pipe",
    )
    assert not mark.exists()


def test_nothing_of_the_caller_s_environment_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    run(
        """
        - name: Look
          ansible.builtin.assert:
            that: lookup('env', 'SECRET_TOKEN') == ''
        """
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_whoever_waits_for_it(tmp_path: Path, number: signal.Signals) -> None:
    """Ansible's workers leave their process group: they are found all the same."""
    (tmp_path / "play.yml").write_text(
        "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n"
        f"    - ansible.builtin.raw: 'echo $$ >{tmp_path}/pid; exec sleep 60'\n"
    )
    program = f"""
        import sys, pathlib, signal
        sys.path.insert(0, {str(COLLECTIONS)!r})
        from ansible_collections.dockfra.core.plugins.plugin_utils.cli import signals
        from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import playbook
        signals.install()
        playbook.PROGRAM, playbook.COLLECTIONS = {playbook.PROGRAM!r}, {playbook.COLLECTIONS!r}
        folder = pathlib.Path({str(tmp_path)!r})
        playbook.run(folder / "play.yml", {{"backend": {{}}}}, {{}}, folder, lambda *_words: None, 60)
    """
    before = tree.descendants(os.getpid())
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    deadline = time.monotonic() + 60
    mark = tmp_path / "pid"
    while not (mark.is_file() and mark.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sleeper = int(mark.read_text())
    process.send_signal(number)
    process.wait(30)
    # What has lost its parent has become this process's own.
    while process_start(sleeper) or tree.descendants(os.getpid()) - before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
