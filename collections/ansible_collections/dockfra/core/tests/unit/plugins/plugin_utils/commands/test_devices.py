# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The bastion's commands for devices behind a real gate, with an ssh that leads to homes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.devices import artifacts
from ansible_collections.dockfra.core.tests.unit.made_devices import Home, manifest, program
from ansible_collections.dockfra.core.tests.unit.made_releases import add, packed, store
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

VERBS = ["device-receive", "device-switch", "device-status"]
POLICY = {
    "place": "ssh-rpi3",
    "service": "ssh-rpi3",
    "services": {"ssh-rpi3": "ssh-rpi3", "monitor": "ssh-monitor", "developer": "ssh-developer"},
    "capabilities": {"deploy": {"title": "Deploy", "roles": ["monitor"]}},
    "commands": {verb: {"capability": "deploy", "at": {"ssh-rpi3": ["monitor"]}} for verb in VERBS},
}
GATE = """
    #!{python}
    import encodings.ascii, os, pathlib, sys
    sys.path.insert(0, {collections!r})
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import devices, gate, releases
    from ansible_collections.dockfra.core.plugins.module_utils.devices import device
    releases.ROOT = {root!r} + "/releases"
    devices.CONFIGURATION = pathlib.Path({root!r}, "devices.json")
    device._PAUSE = 0.01
    sys.exit(gate.main(["gate", sys.argv[1]], None, pathlib.Path({root!r}, "policy.json"), {root!r}, {root!r} + "/slots"))
    """
# What sshd does: the user's shell gets the line, in the user's home. It fails the same way where nobody answers.
SSH = """
    #!/bin/sh
    while [ "$1" != -- ]; do shift; done
    home={root}/$2/home
    if [ ! -d "$home" ] || [ -e "{root}/$2/off" ]; then
      echo "ssh: connect to host $2 port 22: No route to host" >&2
      exit 255
    fi
    echo "$2" >>{root}/asked
    cd "$home" && HOME=$home PATH={root}/$2/tools:$PATH exec sh -c "$3"
    """
KIND = "kind: files\nroot: artifacts\nindex: manifest.json\nstart: {app: 'desktop_app.serve:application'}\n"
Done = subprocess.CompletedProcess[str]


class Bastion:
    """A bastion with the releases of desktop-app, and devices that run them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = store(root / "releases", "desktop-app")
        self.devices = {name: Home(root / name) for name in ("rpi3", "kiosk-7")}
        (root / "devices.json").write_text(json.dumps(dict.fromkeys(self.devices, "desktop-app")))
        (root / "policy.json").write_text(json.dumps(POLICY))
        self._script("gate", GATE, python=sys.executable, collections=str(COLLECTIONS))
        (root / "bin").mkdir()
        self._script("bin/ssh", SSH)

    def _script(self, name: str, text: str, **values: str) -> None:
        path = self.root / name
        path.write_text(textwrap.dedent(text).lstrip().format(root=str(self.root), **values))
        path.chmod(0o755)

    def call(self, line: str, caller: str = "monitor") -> Done:
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "SSH_ORIGINAL_COMMAND": line,
            "LC_ALL": "C.UTF-8",
        }
        command = [str(self.root / "gate"), caller]
        done = subprocess.run(
            command, env=environment, input="", capture_output=True, text=True, timeout=120, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    def result(self, line: str) -> Any:
        done = self.call(f"{line} --json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])["data"]

    def status(self) -> dict[str, dict[str, Any]]:
        done = self.call("device-status --json")
        return {entry["device"]: entry for entry in json.loads(done.stdout)}

    def release(self, number: int, tmp: Path, data: bytes | None = None) -> str:
        """A release that the bastion has, of a version with that number."""
        version = f"{number}.0.0"
        folder = manifest(tmp / version, data or program(version, 2000), version)
        files = {f"artifacts/{path.name}": path.read_bytes() for path in folder.iterdir()}
        return add(self.store, packed(files, KIND), number)


@pytest.fixture
def bastion(tmp_path: Path) -> Bastion:
    return Bastion(tmp_path / "bastion")


@pytest.fixture(autouse=True)
def _there(tmp_path: Path) -> None:
    (tmp_path / "bastion").mkdir(exist_ok=True)


def test_a_device_gets_a_release_and_uses_it(bastion: Bastion, tmp_path: Path) -> None:
    one, two = bastion.release(1, tmp_path), bastion.release(2, tmp_path)
    done = bastion.result(f"device-receive rpi3 {one}")
    assert (done["architecture"], done["sent"], done["kept"]) == ("x86_64", 2000, 0)
    assert bastion.call(f"device-receive rpi3 {one}").stdout == f"rpi3 has {one} already\n"
    assert bastion.devices["rpi3"].in_use() == ""
    assert bastion.result(f"device-switch rpi3 {one}")["now"] == one
    bastion.result(f"device-receive rpi3 {two}")
    assert bastion.call(f"device-switch rpi3 {two}").stdout == (
        f"rpi3 uses {two} now, and is well; before it was {one}\n"
    )
    found = bastion.status()
    assert (found["rpi3"]["current"], found["rpi3"]["previous"], found["rpi3"]["proven"]) == (two, one, True)
    assert found["rpi3"]["releases"] == [one, two]
    assert (found["kiosk-7"]["current"], found["kiosk-7"]["problem"]) == ("", "")
    assert bastion.devices["kiosk-7"].names() == []
    assert bastion.result("device-switch rpi3 none")["now"] == ""
    assert bastion.devices["rpi3"].in_use() == ""


def test_a_device_that_is_off_is_named_and_the_others_are_asked(bastion: Bastion, tmp_path: Path) -> None:
    one = bastion.release(1, tmp_path)
    (bastion.root / "kiosk-7/off").touch()
    found = bastion.status()
    assert found["rpi3"]["problem"] == ""
    assert found["kiosk-7"]["problem"] == (
        "kiosk-7 cannot be reached: connect to host kiosk-7 port 22: No route to host; see whether it is on"
    )
    done = bastion.call(f"device-receive kiosk-7 {one}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "kiosk-7 cannot be reached" in done.stderr


def blamed(done: Done) -> list[str]:
    """Of which devices a call said that its release is to blame."""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["blamed"] for event in events if "blamed" in event]


def test_a_card_without_room_is_not_the_releases_fault(bastion: Bastion, tmp_path: Path) -> None:
    one = bastion.release(1, tmp_path)
    bastion.devices["rpi3"].fake("df", "printf 'x\\nx 1000 999 1 99%% /\\n'")
    done = bastion.call(f"device-receive rpi3 {one} --json")
    assert (done.returncode, blamed(done)) == (1, [])
    assert "make room on its card" in done.stderr


def test_a_bad_release_is_refused_by_the_device(bastion: Bastion, tmp_path: Path) -> None:
    one, bad = bastion.release(1, tmp_path), bastion.release(2, tmp_path, program("2.0.0", 900, status=3))
    for release in (one, bad):
        bastion.result(f"device-receive rpi3 {release}")
    bastion.result(f"device-switch rpi3 {one}")
    done = bastion.call(f"device-switch rpi3 {bad} --json")
    assert done.returncode == 1
    assert f"rpi3 does not use {bad}: its program ends with 3 there" in done.stderr
    assert blamed(done) == ["rpi3"]
    assert bastion.devices["rpi3"].in_use() == one


def test_a_release_for_other_devices_is_not_brought(bastion: Bastion, tmp_path: Path) -> None:
    one = bastion.release(1, tmp_path)
    bastion.devices["rpi3"].fake("uname", "echo aarch64")
    done = bastion.call(f"device-receive rpi3 {one} --json")
    assert done.returncode == 1
    assert "the release is for x86_64, and this device is 'arm64'" in done.stderr
    assert blamed(done) == ["rpi3"]
    assert bastion.devices["rpi3"].names() == []


def test_one_at_a_time_works_on_a_device(bastion: Bastion, tmp_path: Path) -> None:
    one = bastion.release(1, tmp_path)
    with bastion.store.device("rpi3", "monitor", "brings something"):
        done = bastion.call(f"device-receive rpi3 {one}")
        assert (done.returncode, "brings something" in done.stderr) == (75, True)
        assert bastion.result(f"device-receive kiosk-7 {one}")["sent"] == 2000


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("device-receive rpi9 20261125T131500Z-0123456789ab", 2, "there are kiosk-7, rpi3"),
        ("device-receive rpi3 ../../etc", 2, "is no release"),
        ("device-receive 'rpi3 -oProxyCommand=x' 20261125T131500Z-0123456789ab", 2, "cannot name a service"),
        ("device-receive -- -oProxyCommand=x 20261125T131500Z-0123456789ab", 2, "cannot name a service"),
        ("device-switch rpi3 current", 2, "is no release"),
        ("device-switch rpi3 20261125T131500Z-0123456789ab", 1, "rpi3 has no release"),
        ("device-receive rpi3 20261125T131500Z-0123456789ab", 1, "has no release"),
        ("device-status rpi9", 2, "no device 'rpi9'"),
    ],
)
def test_what_cannot_be_meant(bastion: Bastion, line: str, status: int, words: str) -> None:
    done = bastion.call(line)
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_but_the_monitor(bastion: Bastion, verb: str) -> None:
    done = bastion.call(f"{verb} rpi3", "developer")
    assert (done.returncode, done.stderr.startswith("denied:")) == (77, True)
    assert not (bastion.root / "asked").exists()


def test_the_manifest_is_where_releases_of_files_have_theirs() -> None:
    text = (COLLECTIONS.parent / "app/desktop-app/release.yml").read_text()
    assert f"index: {artifacts.MANIFEST}" in text
