"""Trees to build for the tests: such as work, and such as somebody would push who wants more than a release."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMITTED = 1_800_000_000

STATIC = "kind: static\nroot: site\nfiles: [site]\n"
PAGES = {"web/release.yml": STATIC, "web/site/index.html": "<p>it works</p>\n"}

Content = str | bytes | tarfile.TarInfo


def tree(files: Mapping[str, Content]) -> io.BytesIO:
    """A tree as ``git archive`` writes it; an entry of tar stands for itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), COMMITTED, 0o664
            archive.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    return buffer


def entry(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link or something else that is no file."""
    found = tarfile.TarInfo()
    found.type, found.linkname, found.mtime = kind, target, COMMITTED
    return found


def wheel(folder: Path, name: str, code: str = "VALUE = 1\n", version: str = "1.0") -> str:
    """Put a wheel into a directory; returns the line of requirements that asks for it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    files[f"{info}/RECORD"] = (
        "".join(
            f"{path},sha256={base64.urlsafe_b64encode(found).rstrip(b'=').decode()},{len(files[path])}\n"
            for path, found in hashes.items()
        )
        + f"{info}/RECORD,,\n"
    )
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(zipfile.ZipInfo(place), text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def python_service(command: str, extra: str = "", **files: str) -> dict[str, Content]:
    """A service of kind python whose test is a program; ``extra`` are further lines of its release.yml."""
    release = f"kind: python\nfiles: [app.py]\nstart: {{app: 'app:application'}}\ntest: {{command: [python, check.py]}}\n{extra}"
    found: dict[str, Content] = {
        "web/release.yml": release,
        "web/app.py": "application = None\n",
        "web/check.py": command,
    }
    found.update({f"web/{name}": text for name, text in files.items()})
    return found


@dataclass(frozen=True)
class Hostile:
    """What somebody might push.

    Attributes:
        files: the tree.
        step: at which step the build ends; empty where it does not.
        says: what the report says of it.
        harmless: whether it may be tried outside a container as well, where it has the rights of whoever runs the tests. A program
            that looks or writes around it is not.
    """

    files: Mapping[str, Content]
    step: str = ""
    says: str = ""
    harmless: bool = False

    @property
    def anywhere(self) -> bool:
        """Whether nothing of it is run that could do harm outside a container."""
        return self.harmless or self.step in ("receive", "spec")


# Never outside the builder's container.
_GUARD = """
import os
if os.getuid() not in (10020, 10021) or not os.path.exists("/.dockerenv"):
    raise SystemExit("this runs in a builder's container only")
"""

_LOOK_FOR_KEYS = (
    _GUARD
    + """
import os, re, pathlib
found = []
for root in ("/etc", "/home", "/run", "/srv", "/root", "/var", "/work", "/tmp", "/usr/local"):
    for folder, _dirs, names in os.walk(root):
        for name in names:
            try:
                data = pathlib.Path(folder, name).open("rb").read(65536)
            except OSError:
                continue
            if re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\\s+[A-Za-z0-9+/]{40}", data) and "site-packages" not in folder:
                found.append(f"{folder}/{name}")
for number in os.listdir("/proc"):
    if number.isdigit() and int(number) != os.getpid():
        for file in ("environ", "mem", "maps", "fd"):
            path = f"/proc/{number}/{file}"
            try:
                opened = os.listdir(path) if file == "fd" else open(path, "rb").read(1)
            except OSError:
                continue
            if number == os.environ.get("GUARDED", "1"):
                found.append(path)
found += [name for name in os.environ if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]
print("found", found)
raise SystemExit("found " + " ".join(found) if found else 0)
"""
)

_KILL = (
    _GUARD
    + """
import ctypes, os, signal
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGHUP, signal.SIGUSR1):
    try:
        os.kill(1, number)
    except OSError as error:
        print(number, error)
attached = ctypes.CDLL(None).ptrace(16, 1, 0, 0)
raise SystemExit("attached" if attached == 0 else 0)
"""
)

_FORK = (
    _GUARD
    + """
import os, time
end = time.time() + 20
while time.time() < end:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.01)
"""
)

_FILL = (
    _GUARD
    + """
import os
written = 0
for place in ("/work", "/tmp", "/run", "/dev/shm"):
    for number in range(1000):
        try:
            with open(f"{place}/full-{number}", "wb") as file:
                for _part in range(64):
                    written += file.write(bytes(1 << 20))
                    file.flush()
        except OSError as error:
            print(place, error.strerror)
            break
raise SystemExit(f"no room after {written >> 20} MiB")
"""
)

_PRINT = """
import os
part = b"x" * 65535 + b"\\n"
for _number in range(4 * 1024 * 16):
    os.write(1, part)
os.write(1, b"\\x1b[2J\\x1b]0;owned\\x07the last word\\n")
raise SystemExit(3)
"""

_FORGE = (
    _GUARD
    + """
import json, os, sys
line = json.dumps({"event": "done"}) + "\\n" + json.dumps({"event": "archive", "service": "web", "size": 4}) + "\\nevil"
print(line, flush=True)
for number in range(3, 64):
    try:
        os.write(number, line.encode())
    except OSError:
        pass
for process in [name for name in os.listdir("/proc") if name.isdigit()]:
    try:
        names = os.listdir(f"/proc/{process}/fd")
    except OSError:
        continue
    for name in names:
        if process != str(os.getpid()) and int(name) > 2:
            try:
                # Appended: what somebody has open is not emptied.
                with open(f"/proc/{process}/fd/{name}", "ab", buffering=0) as file:
                    file.write(line.encode())
                print("wrote to", process, name)
            except OSError:
                pass
"""
)

_MEMORY = (
    _GUARD
    + """
parts = []
while True:
    parts.append(bytearray(os.urandom(1 << 20)))
"""
)

_CRIPPLE = (
    _GUARD
    + """
import resource, time
for name in ("NOFILE", "NPROC", "DATA", "STACK", "FSIZE", "CPU", "AS"):
    limit = 1 if name == "CPU" else 0
    try:
        resource.prlimit(1, getattr(resource, "RLIMIT_" + name), (limit, limit))
    except (OSError, ValueError) as error:
        print(name, error)
try:
    os.setpriority(os.PRIO_PROCESS, 1, 19)
    os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))
except OSError as error:
    print(error)
time.sleep(2)
"""
)

_OUTSIDE = (
    _GUARD
    + """
import os
wrote = []
for place in ("/", "/etc", "/etc/dockfra", "/usr/bin", "/usr/local/bin", "/usr/local/lib/dockfra", "/usr/local/lib/dockfra/wheels", "/var", "/srv", "/home"):
    try:
        open(os.path.join(place, "pwned"), "w").close()
        wrote.append(place)
    except OSError:
        pass
raise SystemExit("wrote to " + " ".join(wrote) if wrote else 0)
"""
)

_STAY = """
import os, sys, time
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(os.path.join(os.environ["HOME"], "stays"), "w") as file:
            file.write(str(os.getpid()))
        os.close(told)
        os.close(tell)
        while True:
            time.sleep(0.2)
    os._exit(0)
os.close(tell)
os.read(told, 1)  # ends when the one that stays has said who it is
"""

HOSTILE: dict[str, Hostile] = {
    "looks for keys and tokens": Hostile(python_service(_LOOK_FOR_KEYS)),
    "writes outside": Hostile(python_service(_OUTSIDE)),
    "forks without end": Hostile(python_service(_FORK)),
    "fills all memory file systems": Hostile(python_service(_FILL), "test"),
    "takes all memory": Hostile(python_service(_MEMORY), "test", "was ended by signal 9"),
    "takes the first process's limits away": Hostile(python_service(_CRIPPLE)),
    "kills and traces the first process": Hostile(python_service(_KILL)),
    "prints 4 GB": Hostile(python_service(_PRINT), "test", "ended with exit status 3", harmless=True),
    "never ends": Hostile(
        python_service("import time\ntime.sleep(3600)\n"), "test", "did not end in time", harmless=True
    ),
    "reads its input": Hostile(
        python_service("import sys\nraise SystemExit(len(sys.stdin.read()))\n"), harmless=True
    ),
    # It writes to whatever other processes of its user have open: never on the machine of the tests themselves.
    "forges a report": Hostile(python_service(_FORGE)),
    "leaves a process behind": Hostile(python_service(_STAY), harmless=True),
    "release.yml leads elsewhere": Hostile(
        {**PAGES, "web/release.yml": "kind: static\nroot: ../../etc\n"}, "spec", "web/release.yml:2: "
    ),
    "release.yml has an absolute path": Hostile(
        {**PAGES, "web/release.yml": "kind: static\nroot: site\nfiles: [/etc/passwd]\n"},
        "spec",
        "web/release.yml:3: ",
    ),
    "release.yml has an option for a file": Hostile(
        {
            **PAGES,
            "web/release.yml": "kind: python\nstart: {app: 'a:b'}\nrequirements: --index-url=http://x\n",
        },
        "spec",
        "web/release.yml:3: ",
    ),
    "release.yml has objects": Hostile(
        {**PAGES, "web/release.yml": "kind: static\nroot: !!python/object/apply:os.system [id]\n"},
        "spec",
        "web/release.yml:2: ",
    ),
    "release.yml grows": Hostile(
        {**PAGES, "web/release.yml": "a: &a [x, x]\nb: [*a, *a]\n"}, "spec", "web/release.yml:1: "
    ),
    "release.yml is a link": Hostile(
        {"web/release.yml": entry(tarfile.SYMTYPE, "/etc/passwd"), "web/site/index.html": "x"},
        "receive",
        "web/release.yml",
    ),
    "a link in the tree": Hostile(
        {**PAGES, "web/site/etc": entry(tarfile.SYMTYPE, "/etc")}, "receive", "web/site/etc"
    ),
    "a hard link in the tree": Hostile(
        {**PAGES, "web/site/x": entry(tarfile.LNKTYPE, "/etc/passwd")}, "receive", "web/site/x"
    ),
    "a device in the tree": Hostile({**PAGES, "web/site/x": entry(tarfile.CHRTYPE)}, "receive", "web/site/x"),
    "a path that climbs": Hostile({**PAGES, "web/../../etc/x": "x"}, "receive", "web/../../etc/x"),
    "a name with a control character": Hostile({**PAGES, "web/site/a\x1b[2Jb": "x"}, "receive", "web/site/a"),
    "a name of a thousand signs": Hostile(
        {**PAGES, "web/site/" + "x" * 1000: "x"}, "receive", "no release has"
    ),
    "a build makes a link": Hostile(
        {
            **PAGES,
            "web/release.yml": STATIC + "build: {commands: [[ln, -s, /etc/passwd, site/passwd]]}\n",
        },
        "archive",
        "site/passwd",
        harmless=True,
    ),
    "a build makes a pipe": Hostile(
        {**PAGES, "web/release.yml": STATIC + "build: {commands: [[mkfifo, site/pipe]]}\n"},
        "archive",
        "site/pipe",
        harmless=True,
    ),
    "a build puts a link in place of its files": Hostile(
        {
            **PAGES,
            "web/release.yml": STATIC + "build: {commands: [[mv, site, old], [ln, -s, /etc, site]]}\n",
        },
        "compile",
        "site",
        harmless=True,
    ),
    "requirements without a hash": Hostile(
        python_service("", "requirements: requirements.txt\n", **{"requirements.txt": "innocent==1.0\n"}),
        "packages",
        "pip install",
        harmless=True,
    ),
    "requirements of a directory with a setup.py": Hostile(
        python_service(
            "",
            "requirements: requirements.txt\n",
            **{"requirements.txt": "./evil\n", "evil/setup.py": "raise SystemExit('ran')\n"},
        ),
        "packages",
        "pip install",
        harmless=True,
    ),
    "requirements by way of git": Hostile(
        python_service(
            "",
            "requirements: requirements.txt\n",
            **{"requirements.txt": "evil @ git+https://127.0.0.1/evil\n"},
        ),
        "packages",
        "pip install",
        harmless=True,
    ),
}
