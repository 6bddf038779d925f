"""Real SSH servers on this machine's loopback, as the user of the tests: a bastion as the inventory has it, and a device behind it."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
USER = getpass.getuser()


def why_not() -> str:
    """Why no server can be started here; empty where one can."""
    if SSHD is None:
        return "needs openssh-server"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("sshd")
        except KeyError:
            return "as root, needs the user of openssh-server"
    return ""


def new_key(path: Path) -> str:
    """Make a key pair, and return the public line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip()


ALGORITHMS = "KexAlgorithms|Ciphers|MACs|HostKeyAlgorithms|PubkeyAcceptedAlgorithms"


def any_algorithms(config: str) -> str:
    """A configuration without the choice of algorithms, which an older version lacks."""
    return re.sub(rf"^\s*({ALGORITHMS})\b.*\n", "", config, flags=re.MULTILINE)


def here(config: str, folder: Path, port: int) -> str:
    """A server's configuration for this machine: what it permits is as it was, where its files lie and what an older version lacks is not."""
    elsewhere = "ListenAddress|HostKey|AuthorizedKeysFile|AllowUsers|PermitRootLogin|StrictModes|PerSourcePenaltyExemptList|Subsystem"
    kept = re.sub(rf"^({elsewhere}|{ALGORITHMS}|LogVerbose)\b.*\n", "", config, flags=re.MULTILINE)
    return (
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"AllowUsers {USER}\nPermitRootLogin prohibit-password\nStrictModes no\nSubsystem sftp internal-sftp\n{kept}"
    )


def device_config(folder: Path, port: int, home: Path) -> str:
    """A device's, whose user has its home somewhere else."""
    return (
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {home}/.ssh/authorized_keys\n"
        f"AllowUsers {USER}\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"Subsystem sftp internal-sftp\nSetEnv HOME={home}\n"
    )


@contextmanager
def running(folder: Path, config: str, port: int, *options: str) -> Iterator[Path]:
    """A server with this configuration, and further options; yields where it writes what happens."""
    assert SSHD is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sshd_config").write_text(config)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = folder / "log"
    process = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(log), *options])
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"nothing listens on {port}: {log.read_text()}"
            time.sleep(0.05)
        yield log
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(1)
        return asked.connect_ex(("127.0.0.1", port)) == 0
