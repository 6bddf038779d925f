# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Images go from one Docker host to another in real playbooks: two engines on real sockets, a real pipe or a real SSH server between."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import engine_pipe
from ansible_collections.dockfra.core.tests.unit import fake_engine, live_sshd
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import Project

BASE, DB, WEB = "dockfra/base:00", "dockfra/db:11", "dockfra/web:22"
CHAINS = [[BASE, DB], [BASE, WEB]]


def built(reference: str, size: int) -> dict[str, Any]:
    """An image as the builder has it."""
    label = {"dockfra.content": reference.rpartition(":")[2]}
    layers = [f"sha256:{fake_engine.identity(reference)}"]
    return {**fake_engine.image(reference, Labels=label), "Size": size, "RootFS": {"Layers": layers}}


@pytest.fixture
def engines() -> Iterator[dict[str, FakeEngine]]:
    """The engine of the host that builds, with three images, and an empty one."""
    folder = Path(tempfile.mkdtemp(prefix="dockfra-"))
    try:
        with FakeEngine(folder / "a.sock") as source, FakeEngine(folder / "b.sock") as target:
            source.images = {BASE: built(BASE, 1000), DB: built(DB, 1500), WEB: built(WEB, 4000)}
            yield {"builder": source, "app": target}
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def hosts(empty_project: Project, engines: dict[str, FakeEngine]) -> Project:
    """A project with two Docker hosts, each of which has an engine of its own."""
    inventory = {"all": {"hosts": {"one": {}}, "children": {"docker_hosts": {"hosts": {}}}}}
    for name, engine in engines.items():
        # What a login on a host of its own would do: the environment of that host.
        python = empty_project.root / f"python-{name}"
        python.write_text(f'#!/bin/sh\nDOCKER_HOST={engine.url} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        variables = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
        inventory["all"]["children"]["docker_hosts"]["hosts"][name] = variables
    inventory["all"]["vars"] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    save(empty_project, inventory)
    return empty_project


def save(project: Project, inventory: dict[str, Any]) -> None:
    (project.root / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")


def change(project: Project, host: str, **variables: Any) -> None:
    """Have other variables of a Docker host."""
    inventory = yaml.safe_load((project.root / "hosts.yml").read_text())
    inventory["all"]["children"]["docker_hosts"]["hosts"][host].update(variables)
    save(project, inventory)


def sent(project: Project, *arguments: str, chains: list[list[str]] | None = None) -> dict[str, Any]:
    """Send the images; returns the task's result, with all that was shown as ``shown``."""
    options = {"source": "builder", "target": "app", "chains": chains or CHAINS}
    task = {"name": "send", "dockfra.core.image_sent": options, "run_once": True}
    done = project.play([task], *arguments, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    text = done.stdout[done.stdout.index("{\n") :]
    result = json.loads(text)["plays"][0]["tasks"][0]["hosts"]["one"]
    return {**result, "shown": done.stdout + done.stderr}


def test_what_is_missing_is_sent_and_then_nothing(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    engines["app"].images[DB] = engines["builder"].images[DB]
    result = sent(hosts)
    assert not result.get("failed"), result["msg"]
    assert (result["changed"], result["images"]) == (True, [WEB])
    assert engines["app"].images.keys() == {DB, WEB}
    assert "app: 1 images of about" in result["shown"]
    assert "app: 1 images have come and are right" in result["shown"]
    engines["app"].requests.clear()
    assert not sent(hosts)["changed"]
    assert "POST /images/load" not in engines["app"].requests


def test_check_mode_says_what_would_be_sent(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    result = sent(hosts, "--check")
    assert (result["changed"], result["images"]) == (True, [DB, WEB])
    assert not engines["app"].images


def test_much_flows_through_without_a_copy(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    engines["builder"].ballast = 40 * 1024 * 1024
    result = sent(hosts)
    assert not result.get("failed"), result["msg"]
    assert result["size"] > engines["builder"].ballast
    assert engines["app"].images.keys() == {DB, WEB}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"refuse_load": "write /usr/bin/x: no space left on device"}, ["The disk of app is full", "docker image prune"]),
        ({"refuse_load": "unexpected EOF"}, ["app does not take the images: unexpected EOF"]),
        # An engine that says nothing and has nothing.
        ({"forgets": {WEB}}, [f"app has taken {WEB} from builder without an error, and does not have it"]),
        ({"refuse": {"/images/": 500}}, ["app: its Docker Engine cannot be asked for images: refused with 500"]),
    ],
)  # fmt: skip
def test_what_goes_wrong_at_the_target_is_one_sentence_that_names_it(
    hosts: Project, engines: dict[str, FakeEngine], fault: dict[str, Any], words: list[str]
) -> None:
    for name, value in fault.items():
        setattr(engines["app"], name, value)
    result = sent(hosts)
    assert result["failed"]
    assert all(word in result["msg"] for word in words), result["msg"]


def test_an_archive_that_is_cut_is_not_taken(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    engines["builder"].ballast, engines["builder"].cut = 1024 * 1024, 300_000
    result = sent(hosts)
    assert "builder does not give its images" in result["msg"], result["msg"]
    assert not engines["app"].images


def test_a_source_without_the_image_is_named(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    del engines["builder"].images[WEB]
    assert f"app needs {WEB}, which builder does not have" in sent(hosts)["msg"]


def test_no_room_is_seen_before_anything_is_sent(
    hosts: Project, engines: dict[str, FakeEngine], tmp_path: Path
) -> None:
    engines["app"].root = str(tmp_path)
    engines["builder"].images[WEB]["Size"] = 10**18
    message = sent(hosts)["msg"]
    assert message.startswith("app has no room for the images: "), message
    assert f"are free below {tmp_path}" in message
    assert not engines["app"].images


def test_another_image_under_the_name_is_refused(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    """An engine that keeps images in another way gives other ids: the layers and our label count."""

    class Other(dict[str, Any]):
        """Images that come out as others than they went in."""

        def __init__(self, **changes: Any) -> None:
            super().__init__()
            self.changes = changes

        def __ior__(self, images: Any) -> Any:
            self.update({name: {**found, **self.changes} for name, found in images.items()})
            return self

    engines["app"].images = Other(Id="sha256:another", RootFS={"Layers": ["sha256:strange"]})
    assert f"{DB} on app is not the image that builder has" in sent(hosts)["msg"]
    engines["app"].images = Other(Id="sha256:another")
    assert not sent(hosts).get("failed")


def test_root_is_become_with_a_password(hosts: Project, engines: dict[str, FakeEngine]) -> None:
    sudo = hosts.root / "sudo"
    sudo.write_text(
        "#!/bin/bash\n"
        "while [[ $1 == -* ]]; do case $1 in -p) prompt=$2; shift 2;; -u) shift 2;; *) shift;; esac; done\n"
        'printf "%s" "$prompt" >&2; IFS= read -r word; [[ $word == "open sesame" ]] || { echo "Sorry, try again." >&2; exit 1; }\n'
        f'echo "$EUID" >>{hosts.root}/asked; exec "$@"\n'
    )
    sudo.chmod(0o755)
    become = {
        "ansible_become": True,
        "ansible_become_exe": str(sudo),
        "ansible_become_password": "open sesame",
    }
    change(hosts, "app", **become)
    result = sent(hosts)
    assert not result.get("failed"), result["msg"]
    assert engines["app"].images.keys() == {DB, WEB}
    assert "open sesame" not in result["shown"]
    assert len((hosts.root / "asked").read_text().splitlines()) == 3  # look, load, look
    change(hosts, "app", ansible_become_password="wrong")
    assert "app: no program can be run there: Sorry, try again." in sent(hosts)["msg"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ansible_connection": "community.docker.docker"}, "app is reached by the connection 'community.docker.docker'"),
        ({"ansible_python_interpreter": "/nowhere/python"}, "app: no program can be run there: "),
    ],
)  # fmt: skip
def test_a_host_that_cannot_be_used_is_named(hosts: Project, variables: dict[str, Any], words: str) -> None:
    change(hosts, "app", **variables)
    assert words in sent(hosts)["msg"]


@pytest.mark.skipif(bool(live_sshd.why_not()), reason=live_sshd.why_not())
def test_both_ends_may_be_behind_ssh(hosts: Project, engines: dict[str, FakeEngine], tmp_path: Path) -> None:
    engines["builder"].ballast = 3 * 1024 * 1024
    with live_sshd.server(tmp_path / "sshd") as server:
        ssh = {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": server.port,
            "ansible_ssh_private_key_file": str(server.key),
            "ansible_ssh_common_args": f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={server.known_hosts}",
            "ansible_ssh_args": "-o ControlMaster=no -F none",
        }
        change(hosts, "app", **ssh)
        change(hosts, "builder", **ssh)
        result = sent(hosts)
        assert not result.get("failed"), result["msg"]
        assert engines["app"].images.keys() == {DB, WEB}
        # A host whose key is another one's is not spoken to.
        server.known_hosts.write_text(server.known_hosts.read_text().replace("AAAA", "AAAB", 1))
        message = sent(hosts)["msg"]
        assert "no program can be run there" in message
        assert "ost key verification failed" in message, message


def test_half_an_archive_never_becomes_a_whole_one(engines: dict[str, FakeEngine], tmp_path: Path) -> None:
    """The program itself: what ends without its last frame does not reach the end of the engine's request."""
    archive = tmp_path / "archive"
    before = os.environ.get("DOCKER_HOST")
    try:
        os.environ["DOCKER_HOST"] = engines["builder"].url
        with archive.open("wb") as file:
            engine_pipe.save([DB], file)
        os.environ["DOCKER_HOST"] = engines["app"].url
        cut = tmp_path / "cut"
        cut.write_bytes(archive.read_bytes()[:-4])
        with cut.open("rb") as file, pytest.raises(engine_pipe.PipeError, match="ended before its end"):
            engine_pipe.load(file)
        assert not engines["app"].images
        with archive.open("rb") as file:
            engine_pipe.load(file)
        assert list(engines["app"].images) == [DB]
    finally:
        os.environ.pop("DOCKER_HOST")
        if before:
            os.environ["DOCKER_HOST"] = before
