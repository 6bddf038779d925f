"""A secret that is set through the manager's command is in that role's .env and nowhere else."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.support import runs
from tests.e2e.support.engines import as_root
from tests.e2e.support.platform import Platform

SETTING = "OPENROUTER_API_KEY"


@contextmanager
def watched_arguments(needle: str) -> Iterator[list[str]]:
    """Read the arguments and the environment of every process of this machine, over and over; the list is what held the needle."""
    found: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                # Their own readers only: this process knows the needle, and so does what it starts for the tests.
                if int(pid) == os.getpid():
                    continue
                for name in ("cmdline", "environ"):
                    try:
                        content = Path(f"/proc/{pid}/{name}").read_bytes()
                    except OSError:
                        continue
                    if needle.encode() in content:
                        found.append(f"{name} of {content[:80]!r}")
            samples.append(1)

    samples: list[int] = []
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
    assert len(samples) > 5


@pytest.mark.skipif(os.geteuid() != 0, reason="reads what belongs to others")
def test_a_key_set_by_the_manager_is_nowhere_else(platform: Platform) -> None:
    since, canary = time.time(), f"sk-or-v1-{secrets.token_hex(24)}"
    try:
        with watched_arguments(canary) as seen:
            done = platform.ssh("ssh-manager", f"config-monitor {SETTING}", text=f"{canary}\n")
            assert done.returncode == 0, done.stderr
            shown = platform.ssh("ssh-manager", "config-show all")
            run = runs.playbook("playbooks/configure.yml", "-vvv", "-e", json.dumps({
                "service": "ssh-monitor", "settings": {"LLM_MODEL": "openai/gpt-4o"},
            }))  # fmt: skip
        assert seen == []
        run.ok()
        for output in (done.stdout, done.stderr, shown.stdout, shown.stderr, run.output):
            assert canary not in output

        stored = platform.run("ssh-monitor", "sh", "-c", "stat -c %a ~/.env; cat ~/.env").stdout
        assert stored.startswith("600\n")
        assert canary in stored

        places = files_with(platform, canary, since)
        home = platform.docker.volumes.get(platform.topology.volume_name("monitor-home")).attrs["Mountpoint"]
        assert places == [f"{home}/.env"]
        for service in platform.names:
            assert canary not in json.dumps(platform.container(service).attrs), service
    finally:
        platform.ssh("ssh-manager", f"config-monitor {SETTING}=")
    # What was in one place only is to go from there.
    assert files_with(platform, canary, since, home) == []


def files_with(platform: Platform, needle: str, since: float, root: str = "") -> list[str]:
    """Every file that Docker keeps and that holds the needle: volumes, containers, image layers, logs; and the platform's own.

    The needle is no older than ``since``, seconds since the epoch, so what was not changed after that does not hold it; nobody can set
    back the time of a change of status.
    """
    root = root or platform.docker.info()["DockerRootDir"]
    data = f"/var/lib/dockfra/{platform.topology.project}"
    # A running container's files show a second time where its layers are mounted.
    places = (root, data, str(platform.state), str(runs.REPORTS), "-name", "merged", "-prune")
    listed = subprocess.run(
        as_root("find", *places, "-o", "-type", "f", "-newerct", f"@{int(since)}", "-print0"),
        capture_output=True,
        timeout=300,
    ).stdout.split(b"\0")[:-1]
    assert listed, "nothing was changed at all"
    found = []
    for first in range(0, len(listed), 1000):
        names = [os.fsdecode(name) for name in listed[first : first + 1000]]
        command = as_root("grep", "-lsF", "--binary-files=text", "-f", "-", "--", *names)
        done = subprocess.run(command, input=needle, capture_output=True, text=True, timeout=300)
        found += done.stdout.splitlines()
    return sorted(found)
