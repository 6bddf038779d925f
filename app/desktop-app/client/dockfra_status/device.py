"""How the device is that this runs on: what its system says of itself, and nothing that it does not say."""

import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from dockfra_status import __version__

# Releases lie in directories that are called by their ids.
RELEASE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}", re.ASCII)


class State(msgspec.Struct, omit_defaults=True):
    """What a device reports; what it cannot tell is left out, its own clock too.

    Attributes:
        release: the id of the release that this program is of.
        uptime: seconds since the system started.
        disk_used: percent of the file system of the user's home.
        temperature: of the processor, in degrees Celsius.
    """

    kind: str
    architecture: str
    version: str
    release: str = ""
    uptime: int | None = None
    disk_used: int | None = None
    temperature: float | None = None


def state(root: Path = Path("/"), program: str = sys.argv[0]) -> State:
    """Ask the system; `root` is where its files are, `program` the file that runs."""
    found = State("edge", os.uname().machine, __version__, release_of(program))
    # A system without one of these is a device all the same.
    with suppress(OSError, ValueError, IndexError):
        found.uptime = int(float((root / "proc/uptime").read_text().split()[0]))
    with suppress(OSError):
        disk = shutil.disk_usage(Path.home())
        found.disk_used = round(100 * disk.used / (disk.used + disk.free)) if disk.used + disk.free else None
    with suppress(OSError, ValueError):
        found.temperature = int((root / "sys/class/thermal/thermal_zone0/temp").read_text()) / 1000
    return found


def release_of(program: str) -> str:
    """The release that a program lies in, whatever link it was called by; empty where it is in none."""
    folder = Path(os.path.realpath(program)).parent.name
    return folder if RELEASE.fullmatch(folder) else ""
