"""Runs ansible-test sanity on the collection without reaching beyond a Python package index.

ansible-test keeps its environments below the home directory and fetches the pip for them from a server of its
own. Here it gets a home of its own in the user's cache directory, which all clones share, the pip that Python brings along,
and the settings that pip has on this machine (ansible-test hides the environment variables that hold them).
"""

from __future__ import annotations

import ast
import configparser
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/dockfra/core"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dockfra"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# The kinds of plugins whose licence header ansible-test looks at.
VALIDATED = ("callback", "connection", "inventory", "lookup", "modules", "strategy", "vars")

# Stands in for get-pip.py: called with pip's options, in a virtual environment without pip.
GET_PIP = """\
import ensurepip

ensurepip.bootstrap()
"""


def pip_settings() -> dict[str, str]:
    """pip's global settings, those from the environment last, as pip itself ranks them."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for wanted in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            section, _, key = name.partition(".")
            if section == wanted:
                settings[key] = str(ast.literal_eval(value))
    if SYSTEM_CERTIFICATES.exists():
        settings.setdefault("cert", str(SYSTEM_CERTIFICATES))
    return settings


def pip_versions() -> set[str]:
    """The versions of pip that this ansible-test wants to bootstrap."""
    spec = find_spec("ansible_test")
    if spec is None or spec.origin is None:
        sys.exit("ansible-test is not installed")
    source = Path(spec.origin).parent / "_internal/python_requirements.py"
    return set(re.findall(r"""["']?pip["']?\s*[=:]\s*["'](\d[\d.]*)["']""", source.read_text()))


def ignores() -> list[str]:
    """What does not apply here, and nothing else: the licence is Apache-2.0, and images have programs that are no modules."""
    programs = [
        f"{path.relative_to(COLLECTION)} shebang"
        for path in sorted((COLLECTION / "roles").glob("*/files/image/rootfs/**/*"))
        if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/python3 -I")
    ]
    return programs + [
        f"{path.relative_to(COLLECTION)} validate-modules:missing-gplv3-license"
        for kind in VALIDATED
        for path in sorted((COLLECTION / "plugins" / kind).rglob("*.py"))
        if path.name != "__init__.py"
    ]


@contextmanager
def locked_home(core: str) -> Iterator[Path]:
    """The home directory for an ansible-core version and this Python; one run at a time works in it."""
    path = CACHE / f"ansible-test-{core}-python-{sys.version_info.major}.{sys.version_info.minor}"
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def main() -> int:
    core = ".".join(version("ansible-core").split(".")[:2])
    with locked_home(core) as path:
        return sanity(core, path)


def sanity(core: str, home: Path) -> int:
    """Run the tests for an ansible-core version (such as 2.19) in a home directory; returns their exit status."""
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for wanted in pip_versions():
        (cache / f"get_pip_{wanted.replace('.', '_')}.py").write_text(GET_PIP)

    config = configparser.RawConfigParser()
    config["global"] = pip_settings()
    target = home / ".config/pip/pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w") as file:
        config.write(file)

    # Written anew each time: derived from what is there, so that no exception outlives its file.
    ignore = COLLECTION / f"tests/sanity/ignore-{core}.txt"
    ignore.parent.mkdir(parents=True, exist_ok=True)
    ignore.write_text("".join(f"{line}\n" for line in ignores()))

    bin_dir = Path(sys.executable).parent
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(bin_dir / "ansible-test"), "sanity", "--local", "--color", "no", "--python", python]
    environment = os.environ | {"HOME": str(home), "PATH": f"{bin_dir}:{os.environ['PATH']}"}
    environment.pop("XDG_CONFIG_HOME", None)
    return subprocess.run([*command, *sys.argv[1:]], cwd=COLLECTION, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
