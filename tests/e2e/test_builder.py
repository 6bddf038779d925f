"""Builds where they really run: whatever was pushed finds nothing, reaches nothing, leaves nothing, and the next build works."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.builds.wire import HEALTH
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    BuildFailedError,
    BuildUnreachableError,
    DockfraError,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import builds
from tests.e2e.support.builds import HOSTILE, PAGES, Content, Hostile, python_service, tree
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.runs import ROOT

PORT = 8090
ENDLESS = (
    "forks without end",
    "fills all memory file systems",
    "never ends",
    "takes the first process's limits away",
)
# Tried each time; all of them, with a good build after each, take minutes.
OFTEN = (
    "looks for keys and tokens",
    "writes outside",
    "forks without end",
    "fills all memory file systems",
    "forges a report",
)
# Each build that is over early is followed by a pause of up to 10 seconds; several at the two builders in turn wait for less.
BUILDERS = ("builder", "tester")
SECONDS = 60.0


@pytest.fixture(params=[BUILDERS[0], pytest.param(BUILDERS[1], marks=pytest.mark.slow)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Builder:
    """One of the two, asked from the Docker host: that is on every network of its containers."""

    def __init__(self, platform: Platform, name: str, folder: Path) -> None:
        self.platform, self.name, self.folder = platform, name, folder

    @property
    def address(self) -> str:
        """Its address, which it has while it lives."""

        known: list[str] = []

        def there() -> bool:
            found = self.platform.addresses(self.name).items()
            known[:] = [address for address, (_network, family) in found if family == "4"]
            return bool(known)

        eventually(there, f"{self.name} is there", 30)
        return known[0]

    def build(
        self, files: Mapping[str, Content], services: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        given = {
            "tests": True,
            "folder": self.folder,
            "deadline_seconds": SECONDS,
            "on_event": lambda _event: None,
        }
        return builds.build(
            self.address, PORT, tree(files), services or {"web": "web"}, **{**given, **options}
        )

    def life(self) -> str:
        return str(self.platform.container(self.name).attrs["State"]["StartedAt"])


@pytest.fixture
def builder(platform: Platform, name: str, tmp_path: Path) -> Iterator[Builder]:
    made = Builder(platform, name, tmp_path)
    yield made
    platform.wait_healthy(name)


@pytest.fixture
def one(platform: Platform, tmp_path: Path) -> Iterator[Builder]:
    yield Builder(platform, "builder", tmp_path)
    platform.wait_healthy("builder")


def committed(*parts: str) -> dict[str, Content]:
    """Parts of the application as they are in this checkout."""
    listed = subprocess.run(
        ["git", "-C", ROOT / "app", "ls-files", "-z", "--", *parts],
        capture_output=True,
        check=True,
        text=True,
    )
    return {name: (ROOT / "app" / name).read_bytes() for name in listed.stdout.split("\0") if name}


# -- what works --


def test_the_monitor_has_the_application_built_without_a_way_out(platform: Platform) -> None:
    """From inside its container, as a deploy does it; the index is not needed, for the wheels are there."""
    code = """
import json, pathlib, sys, tempfile
sys.path.insert(0, "/usr/local/lib/dockfra/python")
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import builds
where = builds.load()
folder = pathlib.Path(tempfile.mkdtemp(dir="/home/monitor"))
report = builds.build(where.host, where.port, sys.stdin.buffer, {"backend": "backend"}, tests=False, folder=folder,
    deadline_seconds=120, on_event=lambda event: None)
made = report.archives["backend"]
print(json.dumps([made.size, made.content, made.sha256, [[step.step, step.seconds] for step in report.steps]]))
made.path.unlink(); folder.rmdir()
"""
    before = platform.container("package-proxy").logs()
    done = subprocess.run(
        platform.exec("ssh-monitor", "python3", "-c", code, options=["-i"]),
        input=tree(committed("backend")).getvalue(),
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    size, content, digest, steps = json.loads(done.stdout)
    assert 5_000_000 < size < content < 100_000_000
    assert len(digest) == 64
    assert [step for step, _seconds in steps] == ["receive", "spec", "packages", "compile", "archive"]
    asked = platform.container("package-proxy").logs()[len(before) :].decode()
    # Its own health check asks for what is refused.
    assert [
        line
        for line in asked.splitlines()
        if "CONNECT" in line and "localhost:1" not in line and "Request" in line
    ] == []


@pytest.mark.slow  # each deploy of the application does that, and so does the developer's test-local
def test_the_applications_tests_run_with_servers_of_their_own(one: Builder) -> None:
    report = one.build(
        committed("mobile-backend", "frontend"),
        {"mobile-backend": "mobile-backend", "frontend": "frontend"},
        deadline_seconds=300.0,
    )
    assert [(step.service, step.ok) for step in report.steps if step.step == "test"] == [
        ("mobile-backend", True),
        ("frontend", True),
    ]
    with tarfile.open(report.archives["frontend"].path) as file:
        assert "site/index.html" in file.getnames()


def test_a_package_that_the_image_lacks_comes_through_the_proxy(one: Builder) -> None:
    requirements = (
        "# Small, pure Python, and used by nothing of the application.\n"
        "iniconfig==2.0.0 --hash=sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374\n"
    )
    files = python_service("import iniconfig\n", "requirements: r.txt\n", **{"r.txt": requirements})
    with tarfile.open(one.build(files).archives["web"].path) as file:
        assert "packages/iniconfig/__init__.py" in file.getnames()


# -- what was pushed --


@pytest.mark.slow
@pytest.mark.parametrize("push", [push for push in HOSTILE if HOSTILE[push].step not in ("receive", "spec")])
def test_a_hostile_push_gains_nothing_and_the_next_build_works(
    platform: Platform, tmp_path: Path, push: str
) -> None:
    # In turn at both: while one begins anew the other is asked.
    builder = Builder(platform, BUILDERS[list(HOSTILE).index(push) % 2], tmp_path)
    tried(builder, push)
    assert list(builder.build(PAGES).archives) == ["web"]


def test_hostile_pushes_in_a_row_gain_nothing_and_the_next_build_works(
    platform: Platform, tmp_path: Path
) -> None:
    both = [Builder(platform, name, tmp_path) for name in BUILDERS]
    for number, push in enumerate(OFTEN):
        tried(both[number % 2], push)
    for builder in both:
        platform.wait_healthy(builder.name)
        assert list(builder.build(PAGES).archives) == ["web"]


def tried(builder: Builder, push: str) -> None:
    """Give a hostile push to a builder, and see that it ended as it should."""
    builder.platform.wait_healthy(builder.name)
    hostile, life = HOSTILE[push], builder.life()
    begin = time.monotonic()
    error = outcome(builder, hostile)
    if isinstance(error, BuildFailedError) and push not in ENDLESS:
        assert hostile.step, f"{error}\n{error.log}"
        assert str(error).startswith(f"web: {hostile.step}: ")
        assert hostile.says in str(error)
    else:
        # What takes everything may be ended with its whole container, and what never ends is ended by whoever waits for it.
        assert error is None or push in ENDLESS, error
        assert error or not hostile.step, "it has been built"
    assert time.monotonic() - begin < 40
    eventually(lambda: builder.life() != life, "a new life begins", 30)


def outcome(builder: Builder, hostile: Hostile) -> DockfraError | None:
    try:
        builder.build(hostile.files, deadline_seconds=25.0)
    except DockfraError as error:
        return error
    return None


_SCAN = """
import ipaddress, os, socket, subprocess, concurrent.futures
own = [line.split()[0] for line in open("/etc/hosts") if line.split() and line.split()[0][0].isdigit() and not line.startswith("127.")]
found = set()
def tried(place):
    try:
        socket.create_connection(place, 0.7).close()
        found.add(place)
    except OSError:
        pass
names = NAMES
places = [(name, port) for name in names for port in PORTS]
for address in own:
    network = ipaddress.ip_network(address + "/28", strict=False)
    places += [(str(host), port) for host in network.hosts() if str(host) != address for port in PORTS]
places += [("1.1.1.1", 443), ("8.8.8.8", 53)]
with concurrent.futures.ThreadPoolExecutor(100) as pool:
    list(pool.map(tried, places))
print("REACHED", sorted(found))
raise SystemExit(1)
"""


def test_a_build_reaches_the_proxy_and_nothing_else(platform: Platform, builder: Builder) -> None:
    ports = sorted({port.number for service in platform.topology.containers() for port in service.ports})
    names = [service.name for service in platform.topology.containers() if service.name != builder.name]
    addresses = [address for name in names for address in platform.addresses(name)]
    code = _SCAN.replace("NAMES", repr(names + addresses)).replace("PORTS", repr(ports))
    with pytest.raises(BuildFailedError) as caught:
        builder.build(python_service(code), deadline_seconds=120.0)
    said = next(line for line in caught.value.log.splitlines() if line.startswith("REACHED"))
    there = {*platform.addresses("package-proxy"), "package-proxy"}
    reached = {host for host, _port in ast.literal_eval(said.removeprefix("REACHED "))}
    assert reached, "the scan works"
    assert reached <= there


_PROXY = """
import os, socket, sys
proxy = ("package-proxy", 8888)
answers = []
for request in REQUESTS:
    with socket.create_connection(proxy, 5) as connection:
        connection.settimeout(8)
        connection.sendall(request.encode("latin-1"))
        try:
            answers.append(connection.recv(64).split(b"\\r\\n")[0].decode("latin-1"))
        except OSError as error:
            answers.append(repr(error))
print("ANSWERS", answers)
raise SystemExit(1)
"""


def test_the_proxy_lets_through_the_indexes_and_nothing_else(platform: Platform, one: Builder) -> None:
    listed = platform.run("package-proxy", "cat", "/etc/dockfra/package-proxy/allowed").stdout.split()
    host, _colon, port = listed[0].strip("^$").replace("\\", "").partition(":")
    monitor = next(address for address in platform.addresses("ssh-monitor"))
    refused = [
        f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        for target in (
            f"{host}:22",
            f"{host}:80",
            f"x{host}:{port}",
            f"{host}.example.org:{port}",
            f"{host.replace('.', 'x', 1)}:{port}",
            f"{host}.:{port}",
            f"{host}:{port}@127.0.0.1:8888",
            f"127.0.0.1:8888#{host}:{port}",
            "127.0.0.1:8888",
            "localhost:8888",
            "[::1]:8888",
            "builder:8090",
            "1.1.1.1:443",
            f"{monitor}:2222",
            "ssh-monitor:2222",
            "169.254.169.254:80",
            "2130706433:8888",
        )
    ]
    refused += [
        f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET http://builder:8090/health HTTP/1.1\r\nHost: builder\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        f"GET {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET http://tinyproxy.stats/ HTTP/1.1\r\nHost: tinyproxy.stats\r\n\r\n",
        f"POST {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        f"CONNECT http://{host}:{port} HTTP/1.1\r\n\r\n",
    ]
    admitted = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n"
    with pytest.raises(BuildFailedError) as caught:
        one.build(
            python_service(_PROXY.replace("REQUESTS", repr([*refused, admitted]))), deadline_seconds=240.0
        )
    said = next(line for line in caught.value.log.splitlines() if line.startswith("ANSWERS"))
    *answers, last = ast.literal_eval(said.removeprefix("ANSWERS "))
    assert " 200 " in last
    for request, answer in zip(refused, answers, strict=True):
        assert " 200 " not in answer, request
        assert answer.split(" ")[1:2] in (["403"], ["400"], ["404"], []), (request, answer)


def test_a_build_that_ends_its_builder_loses_only_itself(one: Builder) -> None:
    with pytest.raises(BuildUnreachableError, match="in the middle of the build"):
        one.build(python_service("import os, signal, time\nos.kill(1, signal.SIGTERM)\ntime.sleep(60)\n"))
    assert list(one.build(PAGES).archives) == ["web"]


def test_nothing_of_a_build_is_there_in_the_next(one: Builder) -> None:
    leave = (
        "import os\n"
        "for place in ('/work', '/tmp', '/run', '/dev/shm', '/dev/mqueue'):\n"
        "    try:\n        open(place + '/left', 'w').close()\n    except OSError as error:\n        print(error)\n"
    )
    look = (
        "import os\n"
        "found = [place for place in ('/work', '/tmp', '/run', '/dev/shm', '/dev/mqueue') if os.path.exists(place + '/left')]\n"
        "others = [name for name in os.listdir('/proc') if name.isdigit() and int(name) not in (1, os.getpid(), os.getppid())]\n"
        "shared = open('/proc/sysvipc/shm').read().splitlines()[1:]\n"
        "raise SystemExit(f'{found} {others} {shared}' if found or others or shared else 0)\n"
    )
    one.build(python_service(leave))
    one.build(python_service(look))


def test_a_second_build_is_refused_while_one_runs_and_a_cancelled_one_ends(one: Builder) -> None:
    started = threading.Event()
    ended: list[BaseException] = []

    def on_event(event: Mapping[str, Any]) -> None:
        if event["step"] == "test":
            started.set()
            time.sleep(2)
            raise KeyboardInterrupt

    def run() -> None:
        try:
            one.build(python_service("import time\ntime.sleep(600)\n"), on_event=on_event)
        except KeyboardInterrupt as error:
            ended.append(error)

    life = one.life()
    running = threading.Thread(target=run)
    running.start()
    assert started.wait(30)
    assert health(one) == "busy"
    running.join(30)
    assert ended
    eventually(lambda: one.life() != life, "a new life begins", 20)
    assert list(one.build(PAGES).archives) == ["web"]


def health(builder: Builder) -> str:
    with urllib.request.urlopen(f"http://{builder.address}:{PORT}{HEALTH}", timeout=5) as answer:
        return str(json.load(answer)["message"])


def test_there_is_nothing_worth_having_in_a_builder(platform: Platform, name: str) -> None:
    details = platform.container(name).attrs
    assert [mount["Destination"] for mount in details["Mounts"] if mount["Type"] != "tmpfs"] == [
        "/etc/dockfra"
    ]
    assert not details["Mounts"][0]["RW"]

    def said(*command: str) -> str:
        """What a command in it prints; its life may just end with the build of the test before, and another begins."""
        found = ""

        def done() -> bool:
            nonlocal found
            ran = platform.run(name, "sh", "-c", f"{shlex.join(command)} 2>/dev/null; echo lives")
            found, mark, _rest = ran.stdout.rpartition("lives\n")
            return bool(mark)

        eventually(done, "the builder lives", 30)
        return found

    files = said("find", "/etc/dockfra", "-type", "f", "-printf", "%P\n").split()
    assert sorted(files) == ["builder/listen", "builder/pip.conf", "builder/settings.json"]
    # Each of its files is as good as public: it says where things are, and nothing that opens them.
    told = said("cat", *(f"/etc/dockfra/{file}" for file in files))
    secrets = [path.read_text().strip() for path in (platform.state / "secrets").rglob("*") if path.is_file()]
    assert len(secrets) > 5
    assert not [secret for secret in secrets if secret in told]
    assert "@" not in told
    assert said("sh", "-c", "ls /etc/ssh/ssh_host* /home/*/.ssh") == ""
