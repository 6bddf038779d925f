"""The README's commands on bare machines: what somebody once installed by hand here cannot help there.

Each machine is a container with an engine of its own (Docker-in-Docker) that has nothing but a minimal Debian, Python, git and
sudo. A clone of HEAD in root's home (mode 0700) runs ``./init.sh local``, verifies and removes that platform, and runs
``./run-tests.sh``; all have to end with 0, and no test may be skipped but one that says "pending". What this machine needs to
reach package indexes (authorities, pip's and apt's settings, proxies) is handed over when a machine starts, and never part of its image. With DOCKFRA_KEEP=1 machines stay until the
next run.

usage: run.py [machine[:target,…] …]
"""

from __future__ import annotations

import ast
import fcntl
import glob
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.utils import kwargs_from_env

ROOT = Path(__file__).resolve().parents[2]
REPORTS = Path(os.environ.get("DOCKFRA_REPORTS") or ROOT / ".tests") / "fresh"

SUITES = {"debian13": "trixie", "debian12": "bookworm"}
PACKAGES = ["ca-certificates", "git", "python3", "sudo"]
LABEL = "dockfra.fresh"
KEEP = bool(os.environ.get("DOCKFRA_KEEP"))
ORIGIN = "/root/origin.git"
STEP_LIMIT = 4600  # seconds, for each step
# A platform takes a fifth of a core also where nobody uses it, all through the tests. They use its images.
REMOVE = " && ".join(
    f"ansible-playbook playbooks/{line}"
    for line in (
        "verify.yml -i inventories/local",
        "teardown.yml -i inventories/local -e dockfra_remove_images=false",
    )
)
PENDING = "pending"
# What a reviewed exception says does not hold was tried, and did not hold.
FAILS_AS_IT_SHOULD = "pytest.xfail"
MOST_OF_MESSAGE = 400  # characters

# What a server of containers needs in a container: the rights without which dockerd does not start. They are named one by one:
# engines read "ALL" in two ways, as all that the kernel knows and as all that they have themselves.
_CAPABILITIES = (  # by their numbers; capabilities(7), linux/capability.h
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
    "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
    "BLOCK_SUSPEND AUDIT_READ"  # engines of before 2021 know no more; SYS_ADMIN holds what came after
)
# Nothing here needs it, and where a machine is a container itself it is often missing.
_NOT_NEEDED = "SYS_RESOURCE"


def _capabilities() -> list[str]:
    """The capabilities that a machine gets: what anything here can have, from the bounding set of proc(5)."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    mask = int(re.findall(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
    return [name for bit, name in enumerate(_CAPABILITIES.split()) if mask >> bit & 1 and name != _NOT_NEEDED]


RIGHTS: dict[str, Any] = {
    "cap_drop": ["ALL"],
    "cap_add": _capabilities(),
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
    "init": True,
    # A machine has IPv6, at least with itself.
    "sysctls": {"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.lo.disable_ipv6": "0"},
}
PROXIES = re.compile(r"(?i)^(https?|ftp|no|all)_proxy$|^PIP_")


@dataclass
class Machine:
    """One bare machine and what is to be run on it."""

    name: str
    targets: list[str] = field(default_factory=list)

    @property
    def image(self) -> str:
        recipe = json.dumps([SUITES[self.name], PACKAGES])
        return f"dockfra-fresh/{self.name}:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"

    @property
    def steps(self) -> dict[str, str]:
        """The commands, by what the summary calls them."""
        if self.targets:
            return {",".join(self.targets): f"./run-tests.sh {' '.join(self.targets)}"}
        return {
            "init.sh": "./init.sh local",
            "remove": f". .venv/bin/activate && {REMOVE}",
            "run-tests.sh": "./run-tests.sh",
        }


@dataclass
class Outcome:
    """What a step has come to."""

    machine: str
    step: str
    seconds: float
    code: int
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.problems


def parse(words: Sequence[str]) -> list[Machine]:
    """The machines that the words name, all of them where there are none."""
    machines = []
    for word in words or SUITES:
        name, _, targets = word.partition(":")
        if name not in SUITES:
            sys.exit(f"run-tests.sh: error: unknown machine '{name}'; machines: {' '.join(SUITES)}")
        machines.append(Machine(name, [target for target in targets.split(",") if target]))
    return machines


def make_images(machines: Sequence[Machine]) -> None:
    """Bootstrap the images that are missing; on a machine without an engine one is installed and started first."""
    variables = {"fresh_images": {SUITES[m.name]: m.image for m in machines}, "fresh_packages": PACKAGES}
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "tests/fresh/machines.yml"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", "-e", json.dumps(variables)]
    if not is_root():
        command += ["--become"]
    if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        sys.exit("run-tests.sh: error: the images of the machines could not be made; the reason stands above")


def is_root() -> bool:
    return os.geteuid() == 0


# -- what this machine needs to reach the package indexes, and its guests then need too --


def output(*command: str) -> str:
    """What a command prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout
    except FileNotFoundError:
        return ""


def configuration() -> list[Path]:
    """Files of this machine that belong at the same place on every machine here."""
    patterns = [
        "/usr/local/share/ca-certificates/**/*.crt", "/etc/pip.conf", "/etc/xdg/pip/*", "/etc/apt/auth.conf.d/*",
    ]  # fmt: skip
    found = [Path(name) for pattern in patterns for name in glob.glob(pattern, recursive=True)]
    # Of apt's settings those about how packages are fetched, proxies among them.
    found += [
        path
        for path in Path("/etc/apt/apt.conf.d").glob("*")
        if "Acquire::" in path.read_text("utf-8", "replace")
    ]
    return [path for path in found if path.is_file()]


def local_indexes() -> list[str]:
    """Directories of this machine in which pip is told to look: with an index the one above it, where its files are."""
    values = re.findall(r"=(.*)$", output(sys.executable, "-m", "pip", "config", "list"), re.MULTILINE)
    words = [word for value in values for word in str(ast.literal_eval(value)).split()]
    paths = [Path(word.removeprefix("file://")) for word in words]
    places = [
        path.parent if word.startswith("file://") else path for word, path in zip(words, paths, strict=True)
    ]
    return sorted({str(path) for path in places if path.is_absolute() and path.is_dir() and path.name})


def apt_sources(suite: str) -> str:
    """Where this machine gets Debian's packages from, for another suite; empty where it is no Debian itself."""
    fields = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(RELEASE)|$(COMPONENT)"
    lines = set()
    for line in output("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        origin, address, codename, release, component = line.split("|")
        if origin == "Debian" and codename and component == "main":
            own = codename.partition("-")[0]
            lines.add(f"deb {address} {release.replace(own, suite)} {component}\n")
    return "".join(sorted(lines))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if PROXIES.search(name)}


# -- the machines --


def pack(files: dict[str, bytes], directories: dict[str, Path]) -> bytes:
    """A tar archive, everything in it root's."""

    def as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
        for name, path in directories.items():
            archive.add(path, name.lstrip("/"), filter=as_root)
    return stream.getvalue()


@contextmanager
def started(client: docker.APIClient, machine: Machine) -> Iterator[str]:
    """A running machine's container, which is removed with its volumes at the end, however that comes, unless it is kept."""
    indexes = local_indexes()
    host = client.create_host_config(
        **{**RIGHTS, "binds": [*RIGHTS["binds"], *(f"{path}:{path}:ro" for path in indexes)]}
    )
    host["MaskedPaths"] = host["ReadonlyPaths"] = []  # systempaths=unconfined of Docker's client
    container = client.create_container(
        machine.image,
        ["sleep", "infinity"],
        hostname=machine.name,
        labels={LABEL: str(ROOT)},
        environment={**environment(), "HOME": "/root"},
        volumes=["/var/lib/docker"],
        host_config=host,
    )["Id"]
    try:
        client.start(container)
        yield container
    finally:
        if KEEP:
            print(f"{machine.name} is kept: docker exec -it -w /root/dockfra {container[:12]} bash")
        else:
            client.remove_container(container, force=True, v=True)


def remove_leftovers(client: docker.APIClient) -> None:
    """Machines of a run of this clone that was killed."""
    for entry in client.containers(all=True, filters={"label": f"{LABEL}={ROOT}"}):
        client.remove_container(entry["Id"], force=True, v=True)


def furnish(client: docker.APIClient, container: str, machine: Machine, origin: Path) -> None:
    """Hand over this machine's ways to the package indexes, and the repository."""
    files = {str(path): path.read_bytes() for path in configuration()}
    own = Path.home() / ".config/pip/pip.conf"
    if own.is_file():
        files["/root/.config/pip/pip.conf"] = own.read_bytes()
    if sources := apt_sources(SUITES[machine.name]):
        files["/etc/apt/sources.list"] = sources.encode()
    client.put_archive(container, "/", pack(files, {ORIGIN: origin}))


def run(client: docker.APIClient, container: str, command: str, log: Path) -> int:
    """Run a line of shell in root's home; its output is shown and kept. Returns its exit status."""
    identifier = client.exec_create(container, ["bash", "-c", command], workdir="/root")["Id"]
    with log.open("ab") as kept:
        for piece in client.exec_start(identifier, stream=True):
            kept.write(piece)
            kept.flush()
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    return int(client.exec_inspect(identifier)["ExitCode"])


def fetch_reports(client: docker.APIClient, container: str, folder: Path) -> None:
    """Copy what the tests have left in .tests."""
    try:
        pieces, _ = client.get_archive(container, "/root/dockfra/.tests")
    except docker.errors.NotFound:
        return
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        archive.extractall(folder, filter="data")


def troubles(reports: Path) -> tuple[int, list[str]]:
    """How many tests ran, those that failed, and those that were skipped for another reason than that their subject is pending."""
    ran, found = 0, []
    for report in sorted(reports.glob("*.xml")):
        for case in ET.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            if (skipped := case.find("skipped")) is not None and skipped.get("type") != FAILS_AS_IT_SHOULD:
                if PENDING not in (reason := skipped.get("message") or ""):
                    found.append(f"skipped: {name}: {reason}")
                continue
            ran += 1
            for kind in ("failure", "error"):
                if (told := case.find(kind)) is not None:
                    message = " ".join((told.get("message") or "").split())
                    found.append(f"failed: {name}: {message[:MOST_OF_MESSAGE]}")
    return ran, found


def try_machine(client: docker.APIClient, machine: Machine, origin: Path) -> list[Outcome]:
    """Run the machine's commands, up to the first that fails."""
    folder = REPORTS / machine.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes = []
    # A clean Debian trusts authorities that lie there once this has been run.
    prepare = f"update-ca-certificates >/dev/null 2>&1; git clone --quiet {ORIGIN} dockfra"
    with started(client, machine) as container:
        furnish(client, container, machine, origin)
        steps = {"clone": prepare, **{step: f"cd dockfra && {line}" for step, line in machine.steps.items()}}
        for step, line in steps.items():
            print(f"\n== {machine.name}: {step}", flush=True)
            begin = time.monotonic()
            log = folder / f"{step}.log"
            code = run(client, container, f"timeout -k 30 {STEP_LIMIT} bash -c '{line}'", log)
            outcome = Outcome(machine.name, step, time.monotonic() - begin, code)
            outcomes.append(outcome)
            if code:
                outcome.problems.append(
                    f"exit status {code}{', too late' if code == 124 else ''}; all of its output: {log}"
                )
            if "run-tests.sh" in line:
                fetch_reports(client, container, folder)
                ran, found = troubles(folder / ".tests")
                outcome.problems += found if ran else ["no test ran"]
            if code:
                break
    return outcomes


@contextmanager
def alone() -> Iterator[None]:
    """One run of a clone at a time."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    with (REPORTS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(
                "run-tests.sh: error: another run of this clone is trying fresh machines; wait for its end"
            )
        yield


def main(words: Sequence[str]) -> int:
    machines = parse(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    outcomes: list[Outcome] = []
    with alone():
        make_images(machines)
        client = docker.APIClient(version="auto", timeout=STEP_LIMIT + 60, **kwargs_from_env())
        remove_leftovers(client)
        origin = REPORTS / "dockfra.git"
        shutil.rmtree(origin, ignore_errors=True)
        git = ["git", "-c", f"safe.directory={ROOT}", "-c", f"safe.directory={ROOT}/.git"]
        subprocess.run([*git, "clone", "--quiet", "--bare", "--no-local", str(ROOT), str(origin)], check=True)
        for machine in machines:
            outcomes += try_machine(client, machine, origin)
    print(f"\n{'machine':10} {'step':14} {'result':7} {'seconds':>8}")
    for outcome in outcomes:
        result = "ok" if outcome.ok else "FAILED"
        print(f"{outcome.machine:10} {outcome.step:14} {result:7} {outcome.seconds:8.1f}")
        for problem in outcome.problems:
            print(f"  {problem}")
    return int(not all(outcome.ok for outcome in outcomes))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
