"""A fleet with a device of another kind, one that is off and one that is not well: Debian arm64, emulated where this machine can."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.devices.scripts import PIECE
from tests.e2e.support import arm64, runs
from tests.e2e.support.deploys import Team
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.runs import INVENTORY
from tests.e2e.test_devices import QUICK

pytestmark = pytest.mark.slow

ARM, OFF, NEAR = "kiosk-7", "kiosk-8", "rpi3"
# Where a transfer is cut.
TENTHS = range(1, 10)


@pytest.fixture(scope="module")
def device(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[arm64.Device]:
    """The platform knows it, and a second one that is off."""
    try:
        with arm64.device(platform, ARM) as found:
            common = {
                "dockfra_user": arm64.USER,
                "dockfra_uid": 10099,
                "dockfra_shared_uid": True,
                "dockfra_networks": ["rpi3-net"],
                "dockfra_ports": [{"name": "ssh", "port": arm64.PORT}],
                "dockfra_ssh_port": arm64.PORT,
                "dockfra_ssh_logins": ["ssh-rpi3"],
                "dockfra_host_key": found.host_key,
                "dockfra_device": {"runs": "desktop-app"},
            }
            hosts = {
                name: {**common, "dockfra_description": f"Device {name}", "dockfra_address": name}
                for name in (ARM, OFF)
            }
            overlay = tmp_path_factory.mktemp("fleet") / "fleet.yml"
            overlay.write_text(yaml.safe_dump({"helpers": {"hosts": hosts}}))
            runs.playbook("site.yml", inventories=(INVENTORY, overlay), name="fleet").ok()
            yield found
    except arm64.CannotEmulateError as error:
        pytest.skip(str(error))
    finally:
        runs.playbook("site.yml", name="fleet-gone").ok()
        platform.wait_healthy(*platform.names)


@pytest.fixture(scope="module")
def team(platform: Platform, device: arm64.Device) -> Iterator[Team]:
    found = Team(platform)
    with found.own_code():
        try:
            yield found
        finally:
            found.monitor(f"ssh ssh-rpi3 device-switch {NEAR} none")


def said(team: Team) -> dict[str, dict[str, Any]]:
    """What the bastion says of each device."""
    done = team.monitor("ssh ssh-rpi3 device-status --json")
    assert done.returncode == 0, done.stderr
    return {entry["device"]: entry for entry in json.loads(done.stdout)}


def behind(team: Team, version: str, *names: str) -> str:
    """Push and deploy a version that not all devices get; returns the newest release's id as the others use it."""
    team.push(f"Version {version}", QUICK.format(version=version))
    done = team.monitor("deploy-rpi3")
    assert done.returncode == 1, done.stdout
    assert f"{len(names)} of 3 devices are behind" in done.stderr, done.stderr[-1500:]
    for name in names:
        assert f"{name} (" in done.stderr
    return str(said(team)[NEAR]["current"])


def test_each_gets_what_is_made_for_its_kind(team: Team, device: arm64.Device) -> None:
    release = behind(team, "2.0.0", OFF)
    assert device.run("uname -m") == "aarch64"
    assert device.run("readlink releases/current") == release
    assert device.run("releases/current/program --version").split()[-1] == "2.0.0"
    # Its clock says 1970, and nothing minds.
    assert said(team)[ARM]["problem"] == ""
    assert said(team)[OFF]["problem"] != ""


def test_a_transfer_that_is_cut_at_each_tenth_comes_whole(team: Team, device: arm64.Device) -> None:
    """A deploy takes it up again after a cut or two, and the next one goes on where it was given up."""
    size = int(device.run("wc -c <releases/current/program"))
    before = device.run("readlink releases/current")
    team.push("Cut", QUICK.format(version="2.1.0"))
    cuts = whole = begin = 0
    while cuts < len(TENTHS) and device.run("readlink releases/current") == before:
        thread = threading.Thread(target=team.monitor, args=("deploy-rpi3",))
        thread.start()
        while thread.is_alive():
            # The card knows the whole pieces, and the network how far the next one has come.
            pieces, came_in = device.received() // PIECE, device.came_in()
            if pieces != whole:
                whole, begin = pieces, came_in
            place = whole * PIECE + came_in - begin
            # Between two pieces there is no connection that could be cut, and after a cut the piece comes once more.
            if cuts < len(TENTHS) and place > size * TENTHS[cuts] // 10 and device.cut():
                cuts, begin = cuts + 1, device.came_in()
            time.sleep(0.002)
        # Half a release is never in use.
        assert device.run("releases/current/program --version").split()[-1] in ("2.0.0", "2.1.0")
    assert cuts >= 5, "the cuts came too late"
    done = team.monitor("deploy-rpi3")
    assert f"1 of 3 devices are behind: {OFF} (" in done.stderr
    assert device.run("releases/current/program --version").split()[-1] == "2.1.0"
    assert device.run("find releases -name '*.part'") == ""


def test_a_full_card_is_told_and_nothing_changes(team: Team, device: arm64.Device) -> None:
    before = device.run("readlink releases/current")
    # It ends when there is no room any more, which is then looked at.
    device.run("dd if=/dev/zero of=fill bs=64k; [ $(df -Pk . | awk 'NR == 2 {print $4}') -lt 64 ]")
    try:
        release = behind(team, "2.2.0", ARM, OFF)
        assert device.run("readlink releases/current") == before != release
        assert device.run("releases/current/program --version").split()[-1] == "2.1.0"
        assert device.run("find releases -name '*.part'") == ""
    finally:
        device.run("rm -f fill")
    team.monitor("deploy-rpi3")
    assert device.run("readlink releases/current") == release


def test_one_that_is_not_well_goes_back_and_stops_the_fleet(team: Team, device: arm64.Device) -> None:
    before = device.run("readlink releases/current")
    device.run("printf '#!/bin/sh\\nexit 1\\n' >.dockfra/healthy && chmod 0755 .dockfra/healthy")
    try:
        behind(team, "2.3.0", ARM, OFF)
        assert device.run("readlink releases/current") == before
    finally:
        device.run("rm -f .dockfra/healthy")


def test_a_reboot_in_the_middle_leaves_one_whole_release(team: Team, device: arm64.Device) -> None:
    started = device.container.attrs["State"]["StartedAt"]
    team.push("Power", QUICK.format(version="2.4.0"))
    thread = threading.Thread(target=team.monitor, args=("deploy-rpi3",))
    thread.start()
    while thread.is_alive() and device.received() == 0:
        time.sleep(0.01)
    device.container.kill()
    device.container.start()
    thread.join(300)
    device.container.reload()
    assert device.container.attrs["State"]["StartedAt"] != started
    assert device.run("releases/current/program --version").split()[-1] in ("2.2.0", "2.4.0")
    eventually(lambda: not said(team)[ARM]["problem"].startswith("cannot"), "it is back", 60)
    team.monitor("deploy-rpi3")
    assert device.run("releases/current/program --version").split()[-1] == "2.4.0"
    # Three stay.
    assert len(device.run("ls -d releases/2*").split()) <= 3


def test_back_with_the_others(team: Team, device: arm64.Device) -> None:
    previous = device.run("readlink releases/previous")
    done = team.monitor("rollback rpi3")
    assert done.returncode == 1, "one is off"
    assert device.run("readlink releases/current") == previous == said(team)[NEAR]["current"]
