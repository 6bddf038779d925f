# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The builder's program, at work as a process, and the client before it: what is built, what is refused, and that nothing is left.

What a container keeps away (fork bombs, full memory, keys, networks) is tried in one: tests/e2e/test_builder.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.builds import wire
from ansible_collections.dockfra.core.plugins.module_utils.builds.wire import Order
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    BuildAnswerError,
    BuildBusyError,
    BuildError,
    BuildFailedError,
    BuildUnreachableError,
    LateError,
    TooMuchError,
    UsageError,
)
from ansible_collections.dockfra.core.plugins.module_utils.releases import archive, spec
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import builds
from tests.e2e.support.builds import COMMITTED, HOSTILE, PAGES, STATIC, Content, python_service, tree, wheel
from tests.e2e.support.docker_gateway import wait_for
from tests.unit.building import Builder, health, plain_python


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without packages, as the image has one."""
    return plain_python(tmp_path_factory.mktemp("python"))


@pytest.fixture
def builder(tmp_path: Path, python: Path) -> Iterator[Builder]:
    made = Builder(tmp_path, python)
    yield made
    made.stop()


def names(path: Path) -> list[str]:
    with tarfile.open(path) as file:
        return file.getnames()


# -- what is built --


def test_pages_become_an_archive_that_a_bastion_takes(builder: Builder, tmp_path: Path) -> None:
    report = builder.build({**PAGES, "other/secret": "x"})
    made = report.archives["web"]
    assert names(made.path) == ["site", "site/index.html", "spec.json"]
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert made.size == made.path.stat().st_size
    content = tmp_path / "content"
    content.mkdir()
    assert archive.unpack(str(made.path), str(content)).size == made.content
    assert spec.load(content).root == "site"
    # nginx tells pages apart by their time: it is the commit's.
    assert (content / "site/index.html").stat().st_mtime == COMMITTED
    assert [(step.step, step.ok) for step in report.steps] == [
        ("receive", True),
        ("spec", True),
        ("compile", True),
        ("archive", True),
    ]
    assert {event["event"] for event in builder.events} == {"begin", "end"}


def test_the_same_tree_gives_the_same_archive(builder: Builder) -> None:
    line = wheel(builder.wheels, "something")
    files = python_service("import app\n", "requirements: requirements.txt\n", **{"requirements.txt": line})
    hashes = {builder.build(files).archives["web"].sha256 for _time in range(2)}
    assert len(hashes) == 1


def test_packages_come_from_the_wheels_and_are_compiled(builder: Builder) -> None:
    line = wheel(builder.wheels, "something")
    # Without requirements of their own, the tests have the release's.
    files = python_service(
        "import something\nassert something.VALUE == 1\n",
        "requirements: requirements.txt\n",
        **{"requirements.txt": line},
    )
    found = names(builder.build(files).archives["web"].path)
    assert {"app.py", "spec.json", "packages/something/__init__.py"} <= set(found)
    compiled = [name.rpartition("/")[0] for name in found if name.endswith(".pyc")]
    assert compiled == ["__pycache__", "packages/something/__pycache__"]
    assert "check.py" not in found


def test_a_build_has_packages_of_its_own(builder: Builder) -> None:
    line = wheel(builder.wheels, "tool", "def main():\n    open('site/made.html', 'w').write('made')\n")
    build = "build:\n  requirements: tools.txt\n  commands:\n  - [python, -c, 'import tool; tool.main()']\n"
    report = builder.build({**PAGES, "web/release.yml": STATIC + build, "web/tools.txt": line})
    assert "site/made.html" in names(report.archives["web"].path)
    assert [step.step for step in report.steps] == ["receive", "spec", "build", "compile", "archive"]


def test_several_services_are_built_in_turn(builder: Builder) -> None:
    files = {**PAGES, **{name.replace("web/", "deep/er/"): text for name, text in PAGES.items()}}
    report = builder.build(files, {"web": "web", "second": "deep/er"})
    assert sorted(report.archives) == ["second", "web"]
    assert (builder.out / "second.tar.gz").is_file()


def test_tests_are_left_out_where_nobody_wants_them(builder: Builder) -> None:
    report = builder.build(python_service("raise SystemExit(1)\n"), tests=False)
    assert "test" not in [step.step for step in report.steps]


# -- what is not --


def failed(builder: Builder, files: Mapping[str, Content], **options: Any) -> BuildFailedError:
    with pytest.raises(BuildFailedError) as caught:
        builder.build(files, **options)
    assert list(builder.out.iterdir()) == []
    return caught.value


def test_a_mistake_in_release_yml_is_told_with_file_and_line(builder: Builder) -> None:
    error = failed(builder, {**PAGES, "web/release.yml": "kind: static\nroot: site\nfils: [site]\n"})
    assert str(error) == "web: spec: web/release.yml:3: fils: there is no such key; did you mean files?"


def test_a_test_that_fails_says_what_it_said(builder: Builder) -> None:
    error = failed(builder, python_service("print('it is \\x1b[31mbroken\\x1b[0m')\nraise SystemExit(3)\n"))
    assert str(error) == "web: test: python check.py ended with exit status 3"
    assert error.log == "it is broken"


def test_code_that_does_not_compile_is_no_release(builder: Builder) -> None:
    error = failed(builder, {**python_service(""), "web/app.py": "def broken(:\n"})
    assert str(error).startswith("web: compile: the Python code does not compile")
    assert "SyntaxError" in error.log


def test_a_service_that_is_not_there_is_told(builder: Builder) -> None:
    assert str(failed(builder, PAGES, services={"web": "elsewhere"})) == (
        "web: spec: elsewhere/release.yml cannot be read: No such file or directory."
    )


REPORT = "<testsuites><testsuite><testcase name='a'><skipped/></testcase>{}</testsuite></testsuites>"


@pytest.mark.parametrize(("more", "passes"), [("", False), ("<testcase name='b'/>", True)])
def test_tests_of_which_none_ran_prove_nothing(builder: Builder, more: str, passes: bool) -> None:
    command = (
        "import os, re\n"
        "place = re.search('--junitxml=([^ ]+)', os.environ['PYTEST_ADDOPTS'])[1]\n"
        f"open(place, 'w').write({REPORT.format(more)!r})\n"
    )
    if passes:
        builder.build(python_service(command))
    else:
        assert (
            str(failed(builder, python_service(command))) == "web: test: python check.py ran none of 1 tests"
        )


@pytest.mark.parametrize("name", [name for name, push in HOSTILE.items() if push.anywhere])
def test_a_hostile_push_gains_nothing_and_is_named(builder: Builder, name: str) -> None:
    push = HOSTILE[name]
    # What is long on a busy machine is not what is endless.
    builder.settings["step_limit"] = 4.0 if name == "never ends" else 50.0
    if push.step:
        error = failed(builder, push.files)
        where = "receive" if push.step == "receive" else f"web: {push.step}"
        assert str(error).startswith(f"{where}: ")
        assert push.says in str(error)
        assert str(error).isprintable()
        assert len(error.log) <= 16 * 1024
        assert not set(error.log) & {"\x1b", "\x07"}
    else:
        assert "spec.json" in names(builder.build(push.files).archives["web"].path)
    # And whatever it was, the next one is built.
    builder.build(PAGES)


def test_what_a_test_leaves_running_is_ended(builder: Builder) -> None:
    builder.build(HOSTILE["leaves a process behind"].files)
    process = int((builder.work / "home/stays").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


# -- one build at a time, and an end to each --


def test_health_is_answered_while_a_build_runs_and_another_is_refused_at_once(builder: Builder) -> None:
    builder.start()
    running = threading.Thread(
        target=lambda: builder.ask(tree(python_service("import time\ntime.sleep(3)\n")))
    )
    wait_for(lambda: health(builder) == "ready")
    running.start()
    wait_for(lambda: health(builder) == "busy")
    begin = time.monotonic()
    data = tree(PAGES)
    with pytest.raises(BuildBusyError, match="another build is under way"):
        builder.ask(data, deadline_seconds=0.5)
    assert time.monotonic() - begin < 2
    assert data.tell() == 0, "nothing of a tree is read before it is wanted"
    running.join()


def test_a_builder_that_starts_anew_is_waited_for(builder: Builder) -> None:
    threading.Timer(1.0, builder.start).start()
    report = builder.ask(tree(PAGES))
    assert list(report.archives) == ["web"]
    assert builder.events[0]["event"] == "wait"


def test_a_build_whose_caller_is_gone_ends_at_once(builder: Builder, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    command = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"

    def interrupt(event: Mapping[str, Any]) -> None:
        if event["step"] == "test":
            wait_for(lambda: mark.exists() and mark.read_text())
            raise KeyboardInterrupt

    builder.start()
    with pytest.raises(KeyboardInterrupt):
        builder.ask(tree(python_service(command)), on_event=interrupt)
    begin = time.monotonic()
    assert builder.ended() == 0
    assert time.monotonic() - begin < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_builder_is_there_until_its_caller_has_the_answer(builder: Builder) -> None:
    """With a container's network goes what its kernel still holds."""
    builder.start()
    wait_for(lambda: health(builder) == "ready")
    files = {**PAGES, "web/site/large": os.urandom(200_000).hex()}
    body = tree(files).read()
    with socket.create_connection(("127.0.0.1", builder.port), 20) as connection:
        head = f"POST {Order({'web': 'web'}, False).target()} HTTP/1.1\r\nHost: b\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        # Whoever looks without taking it has left all of it in the kernel.
        wait_for(lambda: b"archive" in connection.recv(65536, socket.MSG_PEEK))
        with pytest.raises(subprocess.TimeoutExpired):
            builder.ended(2)
        answer = connection.makefile("rb").read()
        assert b'"done"' in answer
        assert len(answer) > 200_000
    assert builder.ended() == 0


# A builder that answers and then has nothing more to say.
SILENT = """
import socket, sys, time
with socket.create_server(("10.255.251.2", 9090)) as server:
    print("ready", flush=True)
    connection, _peer = server.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 100 \\r\\n\\r\\n")
    time.sleep(1)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    time.sleep(100)
"""


@pytest.fixture
def elsewhere() -> Iterator[list[str]]:
    """A network of its own, whose one machine is 10.255.251.2; how a program is started there."""
    space, near = f"builder-{os.getpid()}", f"b{os.getpid()}"
    inside = ["ip", "netns", "exec", space]
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        for words in (
            ["ip", "link", "add", near, "type", "veth", "peer", "name", "there", "netns", space],
            ["ip", "address", "add", "10.255.251.1/30", "dev", near],
            ["ip", "link", "set", near, "up"],
            [*inside, "ip", "address", "add", "10.255.251.2/30", "dev", "there"],
            [*inside, "ip", "link", "set", "there", "up"],
        ):
            subprocess.run(words, check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "delete", space], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="networks are root's to make")
def test_a_builder_whose_network_is_gone_is_noticed(
    elsewhere: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_KEEPALIVE", {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2})
    with subprocess.Popen([*elsewhere, sys.executable, "-c", SILENT], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        gone = threading.Timer(
            3, subprocess.run, [[*elsewhere, "ip", "link", "set", "there", "down"]], {"check": True}
        )
        gone.start()
        begin = time.monotonic()
        with pytest.raises(BuildUnreachableError, match="broke off"):
            ask(9090, tmp_path, host="10.255.251.2", deadline_seconds=90.0)
        process.kill()
    gone.join()
    assert time.monotonic() - begin < 60


def test_the_deadline_ends_a_build(builder: Builder) -> None:
    with pytest.raises(LateError, match="not done in time"):
        builder.build(python_service("import time\ntime.sleep(600)\n"), deadline_seconds=4)


def test_the_builder_has_a_deadline_of_its_own(builder: Builder) -> None:
    builder.settings["seconds"] = 3.0
    with pytest.raises(BuildUnreachableError, match="time may have been used up"):
        builder.build(python_service("import time\ntime.sleep(600)\n"))


def test_a_tree_that_is_too_large_is_not_sent_on(builder: Builder) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    builder.start()
    with pytest.raises(TooMuchError, match="the tree has more than"):
        builder.ask(Endless())


@pytest.mark.parametrize(
    "query",
    [
        "",
        "tests=maybe&service=a:a",
        "tests=yes",
        "tests=yes&service=a:../b",
        "tests=yes&service=a:/etc",
        "tests=yes&service=A:a",
        "tests=yes&service=a:a&service=a:b",
        "tests=yes&service=a:a&evil=1",
        "tests=yes&tests=no&service=a:a",
        "tests=yes&" + "&".join(f"service=a{number}:a" for number in range(20)),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(builder: Builder, query: str) -> None:
    with pytest.raises(UsageError):
        Order.from_query(query)
    builder.start()
    wait_for(lambda: health(builder) == "ready")
    with socket.create_connection(("127.0.0.1", builder.port), 5) as connection:
        connection.sendall(f"POST /build?{query} HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n".encode())
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
    assert health(builder) == "ready", "no life is spent on it"


# -- a client believes nothing --


@contextlib.contextmanager
def forged(answer: bytes, begin: bytes = b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n") -> Iterator[int]:
    """A builder that says what it likes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _peer = server.accept()
                with connection:
                    connection.settimeout(10)
                    while b"\r\n\r\n" not in connection.recv(65536):
                        pass
                    connection.sendall(begin[: begin.index(b"\r\n\r\n") + 4])
                    time.sleep(0.2)
                    connection.sendall(begin[begin.index(b"\r\n\r\n") + 4 :] + answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        server.close()
        thread.join(15)


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


DONE = line(event="done")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", BuildUnreachableError),
        (b"nonsense\n", BuildAnswerError),
        (b"[" * 5000 + b"\n", BuildAnswerError),
        (b"x" * 300_000, BuildAnswerError),
        (line(event="begin", service="web", step="spec", elapsed=0) * 200_000, BuildAnswerError),
        (
            line(event="end", service="web", step="spec", elapsed=0, seconds=0, ok=True) * 50 + DONE,
            BuildAnswerError,
        ),
        (line(event="begin", service="other", step="spec", elapsed=0), BuildAnswerError),
        (line(event="begin", service="web", step="\x1b[2J", elapsed=0), BuildAnswerError),
        (line(event="begin", service="web", step="spec", elapsed="soon"), BuildAnswerError),
        (b'{"event": "begin", "service": "web", "step": "spec", "elapsed": NaN}\n', BuildAnswerError),
        (line(event="begin", service="web", step="spec", elapsed=10**400), BuildAnswerError),
        (DONE, BuildAnswerError),
        (line(event="archive", service="../x", size=1) + b"x" + DONE, BuildAnswerError),
        (line(event="archive", service="web", size=-1), BuildAnswerError),
        (line(event="archive", service="web", size=10**12), TooMuchError),
        (line(event="archive", service="web", size=100) + b"short", BuildUnreachableError),
        (line(event="archive", service="web", size=5) + b"short" + DONE, BuildAnswerError),
    ],
)
def test_a_forged_answer_is_no_report(tmp_path: Path, answer: bytes, error: type[BuildError]) -> None:
    with forged(answer) as port, pytest.raises(error) as caught:
        ask(port, tmp_path)
    assert str(caught.value).isprintable()


def ask(port: int, folder: Path, host: str = "127.0.0.1", **options: Any) -> Any:
    given = {
        "tests": True,
        "folder": folder,
        "deadline_seconds": 20.0,
        "on_event": lambda _event: None,
        **options,
    }
    return builds.build(host, port, tree(PAGES), {"web": "web"}, **given)


def test_a_forged_failure_is_shown_without_what_nobody_sees(tmp_path: Path) -> None:
    evil = "a\x1b]0;title\x07b\u202ec\x00\nd"
    answer = line(event="failed", service="web", step="test", reason=evil, log=evil * 2000)
    with forged(answer) as port, pytest.raises(BuildFailedError) as caught:
        ask(port, tmp_path)
    assert str(caught.value) == "web: test: abc d"
    assert len(caught.value.log) <= 16 * 1024
    assert set(caught.value.log) <= set("abcd\n")


def test_a_builder_that_says_nothing_is_left_in_time(tmp_path: Path) -> None:
    begin = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(BuildUnreachableError):
        ask(server.getsockname()[1], tmp_path, deadline_seconds=2.0)
    assert time.monotonic() - begin < 10


def test_nobody_there_is_told_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(
        BuildUnreachableError, match=r"the builder 127\.0\.0\.1:1 cannot be reached: Connection refused"
    ):
        ask(1, tmp_path, deadline_seconds=1.0)
