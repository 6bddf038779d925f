# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A fleet, by its real playbook and an ssh that answers for its bastion: a share at a time, and what is behind is named."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import verbs
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import fleet, playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.configuration import Device
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.fleet import BehindError, Move
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

ONE, TWO = "20261125T131500Z-0123456789ab", "20261126T131500Z-0123456789ab"
PLAYBOOK = COLLECTIONS.parent / "playbooks/deploy/devices.yml"
NAMES = ["a-1", "a-2", "a-3", "a-4"]
# A bastion: notes what it is asked, and refuses what one device is to use.
SSH = """
    #!{python}
    import json, sys
    words = sys.argv[-1].split()
    with open({log!r}, "a") as file:
        file.write(" ".join(word for word in words if word != "--json") + "\\n")
    if words[0] == "device-switch" and {bad!r} in words:
        sys.exit("device-switch: {bad} does not use it: too hot")
    print(json.dumps({{"event": "result", "data": {{}}}}))
    """


def device(name: str, share: str = "1") -> Device:
    return Device(name, "desktop-app", "ssh-rpi3", share)


class Fleet:
    """Devices behind a bastion."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        (folder / "bin").mkdir()
        (folder / "run").mkdir()
        monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
        monkeypatch.setattr(playbook, "PROGRAM", str(Path(sys.executable).parent / "ansible-playbook"))
        monkeypatch.setattr(playbook, "COLLECTIONS", str(COLLECTIONS))

    def play(
        self, share: str, bad: str = "none of them", after: str = TWO, reboot: bool = False
    ) -> list[str]:
        """Run the playbook, and return what the bastion was asked."""
        ssh = self.folder / "bin/ssh"
        values = {"python": sys.executable, "log": str(self.log), "bad": bad}
        ssh.write_text(textwrap.dedent(SSH).lstrip().format(**values))
        ssh.chmod(0o755)
        moves = [Move(device(name, share), ONE, after) for name in NAMES]
        hosts = fleet.hosts(moves, reboot)
        try:
            playbook.run(
                PLAYBOOK, hosts, {"deploy_share": share}, self.folder / "run", lambda _text, _data: None, 60
            )
        finally:
            self.asked = self.log.read_text().splitlines()
        return self.asked


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(tmp_path, monkeypatch)


def test_one_device_after_the_other_until_one_is_not_well(devices: Fleet) -> None:
    with pytest.raises(CommandError, match=r"^a-2: a-2 does not use it: too hot$"):
        devices.play("1", bad="a-2")
    assert devices.asked == [
        f"{verb} {name} {TWO}" for name in NAMES[:2] for verb in ("device-receive", "device-switch")
    ]


def test_a_share_of_a_fleet_at_a_time(devices: Fleet) -> None:
    with pytest.raises(CommandError, match=r"^a-1: "):
        devices.play("50%", bad="a-1")
    assert {line.split()[1] for line in devices.asked} == {"a-1", "a-2"}


def test_to_nothing_and_anew_only_where_that_is_asked_for(devices: Fleet) -> None:
    asked = devices.play("100%", after="", reboot=True)
    assert sorted(asked) == [f"device-switch {name} none --reboot" for name in NAMES]


def said(*entries: Mapping[str, Any]) -> Any:
    return lambda _bastion, _words, **_options: verbs.Answer(0, [*entries], [], "")


def test_what_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = said(
        {"device": "a-1", "current": TWO, "proven": True, "problem": ""},
        {"device": "a-2", "current": ONE, "proven": True, "problem": ""},
        {"device": "a-3", "current": TWO, "proven": False, "problem": ""},
        {"device": "a-4", "problem": "a-4 cannot be reached"},
        {"device": "another", "current": ONE, "proven": True, "problem": ""},
    )
    monkeypatch.setattr(verbs, "call", answers)
    found = fleet.moves([device(name) for name in [*NAMES, "a-5"]], {"desktop-app": TWO})
    assert [(move.device.device, move.before, bool(move.problem)) for move in found] == [
        ("a-2", ONE, False),
        ("a-3", TWO, False),
        ("a-4", "", True),
        ("a-5", "", True),
    ]
    assert {share: len(part) for share, part in fleet.shares(found).items()} == {"1": 2}
    error = BehindError(found, 5, "a-2: it is too hot.")
    assert str(error) == (
        f"a-2: it is too hot. 4 of 5 devices are behind: a-2 (uses {ONE}), a-3 (not known to be well), "
        "a-4 (a-4 cannot be reached), a-5 (ssh-rpi3 says nothing of it); deploy again when they are well, or roll back"
    )
    # Who answers is not to blame for that alone: whoever ran the playbook says it.
    assert not error.refused
    assert BehindError(found, 5, "a-2: it is too hot.", refused=True).refused
    assert not BehindError(found, 5, "a-4: the way there broke").refused
    assert not BehindError(found[2:], 5, "").refused


@pytest.mark.parametrize("current", ["nonsense", 5, None, ["x"], "\x1b[2J"])
def test_what_no_release_is_called_is_none(monkeypatch: pytest.MonkeyPatch, current: Any) -> None:
    monkeypatch.setattr(verbs, "call", said({"device": "a-1", "current": current, "proven": True}))
    [move] = fleet.moves([device("a-1")], {"desktop-app": TWO})
    assert (move.before, move.after) == ("", TWO)


def test_a_bastion_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = verbs.Answer(1, None, [], "no such command")
    monkeypatch.setattr(verbs, "call", lambda *_words, **_options: failed)
    with pytest.raises(CommandError, match="no such command"):
        fleet.moves([device("a-1")], {"desktop-app": TWO})


def test_moves_are_plain_data() -> None:
    move = Move(device("a-1"), "", TWO, "off")
    assert json.loads(json.dumps(move.to_dict())) == {
        "device": "a-1",
        "before": "",
        "after": TWO,
        "problem": "off",
    }
