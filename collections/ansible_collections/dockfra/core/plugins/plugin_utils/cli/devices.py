# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands of a bastion share that has devices: which there are, the way to them, and their releases.

The bastion alone has a key for them. Whoever deploys calls its commands, which run fixed scripts there and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...module_utils.devices import answers, artifacts
from ...module_utils.devices.device import Device
from ...module_utils.errors import (
    CommandError,
    DeviceAnswerError,
    DeviceAwayError,
    DeviceRefusedError,
    DeviceUnsuitableError,
    LateError,
    TooMuchError,
    UsageError,
)
from ...module_utils.processes import child
from ...module_utils.releases import ids, links
from ...module_utils.releases.store import Store
from ...module_utils.text import shown
from . import codes, releases, remote
from .call import Call
from .grammar import checked

CONFIGURATION = Path("/etc/dockfra/bastion/devices.json")
# Stands for no release.
NONE = "none"

_MAX_CONFIGURATION = 1024 * 1024


def add_device(parser: argparse.ArgumentParser) -> None:
    """The argument that names a device."""
    parser.add_argument(
        "device", metavar="DEVICE", type=checked(ids.checked_service), help="its name, for example rpi3"
    )


def checked_release(text: str) -> str:
    """Return a release's id, or an empty text for the word that means none; raises ReleaseInvalidError."""
    return "" if text == NONE else ids.checked_id(text)


def known() -> dict[str, str]:
    """Return the devices that are reached from here, and the service whose releases each runs; raises CommandError."""
    try:
        with open(CONFIGURATION, "rb") as file:
            data = json.loads(file.read(_MAX_CONFIGURATION))
        return {ids.checked_service(name): ids.checked_service(service) for name, service in data.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, UsageError) as error:
        raise CommandError(f"{CONFIGURATION} cannot be read ({error}); run site.yml again") from error


def service_of(name: str) -> str:
    """Return the service whose releases a device runs; raises UsageError where there is no such device."""
    devices = known()
    if name not in devices:
        there = ", ".join(sorted(devices)) or "none"
        raise UsageError(f"no device {shown(name)} is reached from here; there are {there}")
    return devices[name]


def device(call: Call, name: str) -> Device:
    """Return a device as it is reached from here; it tells the call what happens."""
    return Device(name, _Way(name), lambda text: call.tell(text, device=name))


@contextmanager
def held(call: Call, what: str) -> Iterator[tuple[Device, Store]]:
    """Have the call's device, and the releases that it runs, for its caller, who is told where the call's release is to blame.

    Args:
        call: the call.
        what: the work, for everybody who comes meanwhile.

    Raises:
        UsageError: there is no such device.
        LockBusyError: somebody else works on it, and says what for and since when.
        ReleaseError: there are no releases for it here.
    """
    name = call.options.device
    kept = releases.store(service_of(name))
    with kept.device(name, call.caller, what):
        try:
            yield device(call, name), kept
        except (DeviceRefusedError, DeviceUnsuitableError):
            # A way that breaks, or a card without room, says nothing of the release.
            call.tell(f"{name}: does not do with {call.options.release}", device=name, blamed=name)
            raise


def artifact(kept: Store, release: str, kind: str) -> artifacts.Artifact:
    """Return what a release has for a kind of device.

    Args:
        kept: the releases.
        release: the id.
        kind: see `artifacts.architecture`.

    Raises:
        ReleaseError: there is no such release, or it is not what it has to be.
        DeviceUnsuitableError: it has nothing for that kind.
    """
    root = kept.spec(release).root
    return artifacts.choose(os.path.join(kept.folder, release, links.CONTENT, root), kind)


class _Way:
    """SSH to a device, with the key and the host key of this container's configuration."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, line: str, data: bytes, seconds: float) -> answers.Answer:
        command = ["ssh", "-T", "-o", "BatchMode=yes", "--", self._name, line]
        try:
            done = child.run(command, data=data, timeout=seconds, limit=answers.MAX_ANSWER)
        except OSError as error:
            raise CommandError(f"ssh cannot be started: {error.strerror}") from error
        except LateError as error:
            raise DeviceAwayError(
                f"{self._name} did not answer within {seconds:g} s; see whether it is on"
            ) from error
        except TooMuchError as error:
            raise DeviceAnswerError(f"{self._name}: {error}; see what runs there") from error
        if done.status == remote.UNREACHABLE:
            reason = remote.last_line(done.errors).rstrip(".") or "the connection was closed"
            raise DeviceAwayError(
                codes.line("", f"{self._name} cannot be reached: {reason}; see whether it is on").lstrip(": ")
            )
        return answers.Answer(done.status, done.output, done.errors)
