"""A device of another kind than this machine: Debian arm64, run by QEMU's user mode emulation in a container beside the platform."""

from __future__ import annotations

import contextlib
import os
import platform as machine
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import docker.errors

from .engines import OF_TESTS, as_root
from .platform import Platform

IMAGE = "dockfra-test/debian-arm64:trixie"
PACKAGES = "openssh-server,python3,libfaketime"
USER, HOME, PORT = "pi", "/home/pi", 2222
# Bytes of its card.
CARD = 64 * 1024 * 1024

_FORMATS = Path("/proc/sys/fs/binfmt_misc")
_INTERPRETER = "/usr/bin/qemu-aarch64-static"
# What an ELF file for arm64 begins with, and which of these bits count; F: the interpreter is opened here, for other root directories too.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_FORMAT = f":dockfra-aarch64:M::{_MAGIC}:{_MASK}:{_INTERPRETER}:OCF"

_SSHD = f"""\
Port {PORT}
HostKey {HOME}/.device/host_key
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding no
# The device has no clock of its own: for whoever comes in it is 1970.
SetEnv LD_PRELOAD=/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1 FAKETIME="@1970-01-02 03:04:05" DONT_FAKE_MONOTONIC=1
"""
_FIRST = """\
#!/bin/sh
# A device without systemd: its SSH server, and a reboot that ends all of it.
set -eu
mkdir -p "$HOME/.ssh" "$HOME/.dockfra" "$HOME/.device"
chmod 0700 "$HOME/.ssh" "$HOME/.device"
[ -f "$HOME/.device/host_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$HOME/.device/host_key"
printf '#!/bin/sh\\nkill -TERM 1\\n' >"$HOME/.dockfra/reboot"
chmod 0755 "$HOME/.dockfra/reboot"
trap 'exit 0' TERM
/usr/sbin/sshd -D -e -f /etc/device.conf &
wait
"""


class CannotEmulateError(Exception):
    """This machine runs no programs for arm64; the text says why."""


def emulate() -> None:
    """Let the kernel run programs for arm64; raises CannotEmulateError where it cannot."""
    if machine.machine() == "aarch64":
        return
    assert Path(_INTERPRETER).exists(), "no qemu-user-static here; ./run-tests.sh slow installs it"
    try:
        if not (_FORMATS / "register").exists():
            _root("mount", "-t", "binfmt_misc", "none", str(_FORMATS))
        if not (_FORMATS / "dockfra-aarch64").exists():
            _root("tee", str(_FORMATS / "register"), text=_FORMAT)
    except subprocess.CalledProcessError as error:
        raise CannotEmulateError(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from error


def _root(*command: str, text: str = "", timeout: float = 900) -> None:
    """Run a command as root; raises CalledProcessError, which has what it said."""
    subprocess.run(as_root(*command), input=text, capture_output=True, text=True, timeout=timeout, check=True)


def make_image() -> None:
    """Make the image of the device unless there is one: some minutes, since its packages are configured by the emulation."""
    with contextlib.suppress(docker.errors.ImageNotFound):
        docker.from_env().images.get(IMAGE)
        return
    with tempfile.TemporaryDirectory(prefix="dockfra-arm64-") as folder:
        archive = f"{folder}/root.tar"
        for name, text in (("device.conf", _SSHD), ("device", _FIRST)):
            Path(folder, name).write_text(text)
        hooks = (
            f'chroot "$1" useradd --create-home --uid 1000 {USER}',
            f'install -m 0644 {folder}/device.conf "$1/etc/device.conf"',
            f'install -m 0755 {folder}/device "$1/device"',
        )
        _root(
            *("mmdebstrap", "--quiet", "--mode=root", "--arch=arm64", "--variant=minbase"),
            *(f"--include={PACKAGES}", *(f"--customize-hook={hook}" for hook in hooks)),
            *("trixie", archive),
            timeout=1800,
        )
        changes = (f"USER {USER}", f"ENV HOME={HOME}", f"WORKDIR {HOME}", 'CMD ["/device"]')
        changed = [word for change in changes for word in ("--change", change)]
        subprocess.run(
            ["docker", "import", "--platform", "linux/arm64", *changed, archive, IMAGE],
            check=True, capture_output=True, timeout=600,
        )  # fmt: skip


class Device:
    """The device, while it is there.

    Args:
        platform: the platform whose bastion it is for.
        name: its name there and on the bastion's network.
        card: the directory that is its home, on a file system of `CARD` bytes.
    """

    def __init__(self, platform: Platform, name: str, card: Path) -> None:
        self.name, self.card, self._init = name, card, 0
        self._key = (platform.key("ssh-rpi3").with_suffix(".pub")).read_text().strip()
        client = platform.docker
        networks = client.networks.list(names=[platform.topology.network_name("rpi3-net")])
        self.container = client.containers.create(
            IMAGE,
            name=f"{platform.topology.project}-arm64-{name}",
            network_mode="none",
            labels={OF_TESTS: ""},
            detach=True,
            mem_limit="512m",
            pids_limit=200,
            cap_drop=["ALL"],
            restart_policy={"Name": "always"},
            volumes={str(card): {"bind": HOME, "mode": "rw"}},
        )
        none = client.networks.get("none")
        none.disconnect(self.container)
        networks[0].connect(self.container, aliases=[name])
        self.container.start()
        self._admit()

    def run(self, script: str) -> str:
        """Run a script on the device, and return what it prints."""
        status, said = self.container.exec_run(["sh", "-c", script])
        assert status == 0, said.decode(errors="replace")[-500:]
        return said.decode().strip()

    @property
    def host_key(self) -> str:
        return " ".join(self.run("cat .device/host_key.pub").split()[:2])

    def _admit(self) -> None:
        deadline = time.monotonic() + 60
        while self.container.exec_run(["test", "-f", f"{HOME}/.device/host_key.pub"])[0] != 0:
            assert time.monotonic() < deadline, "the device does not start"
            time.sleep(0.5)
        self.run(f"echo 'restrict,pty {self._key}' >.ssh/authorized_keys && chmod 0600 .ssh/authorized_keys")

    def cut(self) -> int:
        """End all connections to it at once, and return how many processes that took."""
        cut = 0
        # Not by Docker, whose answer comes when a piece has long arrived.
        for pid in _below(self._pid):
            with contextlib.suppress(OSError):
                if b"sshd-session" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    cut += 1
        return cut

    @property
    def _pid(self) -> int:
        if not Path(f"/proc/{self._init}").exists():  # the first time, and after a reboot
            self.container.reload()
            self._init = int(self.container.attrs["State"]["Pid"])
        return self._init

    def came_in(self) -> int:
        """Bytes that its network has brought it since it was started."""
        lines = Path(f"/proc/{self._pid}/net/dev").read_text(encoding="ascii").splitlines()[2:]
        counted = dict(line.split(":", 1) for line in lines)
        return sum(int(fields.split()[0]) for name, fields in counted.items() if name.strip() != "lo")

    def received(self) -> int:
        """Bytes of a release that is on its way."""
        with contextlib.suppress(OSError):
            return sum(path.stat().st_size for path in self.card.glob("releases/*.part/program"))
        return 0


def _below(pid: int) -> Iterator[int]:
    """The processes that one has started, and those that they have."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            yield from _below(int(child))
            yield int(child)


@contextmanager
def device(platform: Platform, name: str) -> Iterator[Device]:
    """A device with an empty card, as long as it is needed; raises CannotEmulateError."""
    emulate()
    make_image()
    folder = Path(tempfile.mkdtemp(prefix="dockfra-card-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        image, card = folder / "card", folder / "home"
        with image.open("wb") as file:
            file.truncate(CARD)
        card.mkdir()
        _root("mkfs.ext4", "-q", "-m", "0", "-E", "root_owner=1000:1000", str(image))
        _root("mount", "-o", "loop", str(image), str(card))
        stack.callback(_root, "umount", "--lazy", str(card))
        found = Device(platform, name, card)
        stack.callback(found.container.remove, force=True)
        yield found
