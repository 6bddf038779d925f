# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the system of a machine is one that the platform runs on: its release, Python, rights and kernel."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .finding import OK, WARNING, WRONG, Finding

_RELEASES = {"debian": (12,), "ubuntu": (24, 4)}
_SYSTEMS = "Debian 12 or newer, or Ubuntu 24.04 or newer"
_TRIED, _UNTRIED = ("x86_64",), ("aarch64", "arm64")
_PYTHON = (3, 11)
_CONTROLLERS = ("memory", "pids")


def release(path: Path = Path("/etc/os-release")) -> Finding:
    """Which system it is."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition("=") for line in lines)
    said = {key: value.strip("\"'") for key, _equals, value in pairs}
    name = said.get("PRETTY_NAME") or said.get("ID") or "an unknown system"
    least = _RELEASES.get(said.get("ID", ""))
    if least is None and {"debian", "ubuntu"} & set(said.get("ID_LIKE", "").split()):
        return Finding(
            "system", WARNING, f"It runs {name}, on which nobody has tried this", f"Tried are {_SYSTEMS}."
        )
    version = tuple(int(part) for part in said.get("VERSION_ID", "").split(".") if part.isdigit())
    # One without a number is Debian's next.
    if least is None or (version and version < least):
        return Finding("system", WRONG, f"It runs {name}", f"Install {_SYSTEMS}.")
    return Finding("system", OK, f"It runs {name}")


def architecture(machine: str = "") -> Finding:
    """Which processor it has."""
    machine = machine or platform.machine()
    if machine in _TRIED:
        return Finding("architecture", OK, f"Its architecture is {machine}")
    if machine in _UNTRIED:
        return Finding(
            "architecture", WARNING, f"Its architecture is {machine}, on which not all of this was tried"
        )
    return Finding("architecture", WRONG, f"Its architecture is {machine}", "Use a machine with x86_64.")


def python(version: Sequence[int] = tuple(sys.version_info[:3]), path: str = sys.executable) -> Finding:
    """Which Python runs this."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) >= _PYTHON:
        return Finding("python", OK, f"Python is {text}")
    least = ".".join(map(str, _PYTHON))
    remedy = f"Install Python {least} or newer, and let ansible_python_interpreter name it."
    return Finding("python", WRONG, f"{path} is Python {text}", remedy)


def rights(user: int | None = None) -> Finding:
    """Whether it may do what only root can."""
    if (os.geteuid() if user is None else user) == 0:
        return Finding("rights", OK, "Ansible is root there")
    return Finding(
        "rights",
        WRONG,
        "Ansible is not root there",
        "Use root or a user with sudo (ansible_become: true); files of the services belong to their own users.",
    )


def programs(names: Mapping[str, str]) -> list[Finding]:
    """Which programs are missing.

    Args:
        names: programs that are needed, each with the Debian package that brings it.
    """
    missing = {name: package for name, package in names.items() if not shutil.which(name)}
    if not missing:
        return [Finding("programs", OK, f"{', '.join(names)} are there")]
    packages = " ".join(sorted(set(missing.values())))
    return [
        Finding(
            "programs",
            WRONG,
            f"There is no {', '.join(missing)}",
            f"Install them: apt-get install {packages}.",
        )
    ]


def cgroups(root: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Whether memory and the number of processes of a container can be limited."""
    try:
        known = (root / "cgroup.controllers").read_text(encoding="ascii").split()
        generation = "version 2"
    except OSError:
        known = [name for name in _CONTROLLERS if (root / name).is_dir()]
        generation = "version 1"
    missing = [name for name in _CONTROLLERS if name not in known]
    if not missing:
        return Finding("cgroups", OK, f"Control groups are {generation}, with {' and '.join(_CONTROLLERS)}")
    return Finding(
        "cgroups",
        WRONG,
        f"The kernel limits no {' and no '.join(missing)} of a container",
        "Switch the control groups on: on a Raspberry Pi cgroup_enable=memory in the kernel's command line, elsewhere a kernel of the system.",
    )


def overlay(
    filesystems: Path = Path("/proc/filesystems"), modules: Path | None = None, driver: str = ""
) -> Finding:
    """Whether images can be laid over each other.

    Args:
        filesystems: what the kernel knows.
        modules: directory of the modules of the running kernel.
        driver: what an engine that is there uses.
    """
    modules = modules or Path("/lib/modules") / os.uname().release
    if driver.startswith("overlay") or "overlay" in filesystems.read_text(encoding="ascii").split():
        return Finding("overlay", OK, "The kernel has overlayfs")
    for name in ("modules.builtin", "modules.dep"):
        try:
            if "/overlay.ko" in (modules / name).read_text(encoding="utf-8", errors="replace"):
                return Finding("overlay", OK, "The kernel has a module for overlayfs")
        except OSError:
            continue
    return Finding(
        "overlay",
        WRONG,
        f"The kernel {os.uname().release} has no overlayfs, without which images take many times the room",
        "Boot a kernel of the system, or load the module: modprobe overlay.",
    )


def namespaces(path: Path = Path("/proc/sys/user/max_user_namespaces")) -> Finding:
    """Whether the kernel has user namespaces."""
    try:
        most = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        most = 0
    if most > 0:
        return Finding("namespaces", OK, "The kernel has user namespaces")
    return Finding(
        "namespaces",
        WARNING,
        "The kernel has no user namespaces; a Docker Engine that maps root (userns-remap) would not start",
        "Without such an engine nothing is to be done.",
    )


def firewall(ufw: Path = Path("/etc/ufw/ufw.conf"), run: Path = Path("/run")) -> list[Finding]:
    """Whether rules of a firewall can be read, and who else makes some."""
    found = []
    if ufw.is_file() and "ENABLED=yes" in ufw.read_text(encoding="utf-8", errors="replace"):
        found.append(
            Finding(
                "firewall",
                WARNING,
                "ufw is on; ports that Docker publishes are open to all that may reach them, whatever ufw says",
                "Publish on 127.0.0.1, as this platform does unless it is told otherwise, or use rules in DOCKER-USER.",
            )
        )
    if (run / "firewalld").is_dir():
        found.append(
            Finding(
                "firewall",
                WARNING,
                "firewalld is on; Docker's rules are gone after it was started anew",
                "Start Docker anew after firewalld.",
            )
        )
    for command in (["nft", "list", "tables"], ["iptables", "-w", "-S"]):
        if shutil.which(command[0], path=_path()):
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                command,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                env={**os.environ, "PATH": _path()},
            )
            if done.returncode and os.geteuid() == 0:
                reason = (done.stderr.strip().splitlines() or ["no reason"])[0]
                found.append(
                    Finding(
                        "firewall",
                        WRONG,
                        f"{command[0]} cannot read the firewall: {reason}",
                        "Docker needs it; boot a kernel of the system, and look whether its modules are there.",
                    )
                )
    return found or [Finding("firewall", OK, "Nothing is in the way of Docker's firewall rules")]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
