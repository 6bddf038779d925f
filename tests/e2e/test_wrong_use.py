"""Wrong use is answered in one clear line that names the thing and the remedy, and it changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support import runs
from tests.e2e.support.engines import OF_TESTS
from tests.e2e.support.platform import LOCALHOST, Platform
from tests.e2e.support.runs import INVENTORY, Run

_NOBODY = "65534"
BASE_IMAGE = "collections/ansible_collections/dockfra/core/roles/base/files/image"


@pytest.fixture
def extra(tmp_path: Path) -> Any:
    """Writes an inventory that goes on top of the tests' own."""

    def write(hosts: Mapping[str, Mapping[str, Any]]) -> Path:
        path = tmp_path / "extra.yml"
        path.write_text(yaml.safe_dump({"app": {"hosts": hosts}}))
        return path

    return write


@pytest.fixture(autouse=True)
def unchanged(platform: Platform) -> Iterator[None]:
    """Nothing of the platform is made, removed, restarted or rewritten by a refused run."""
    before = platform.snapshot()
    yield
    assert platform.snapshot() == before


def refused(run: Run, *words: str) -> None:
    """The run has failed with one line that has all these words."""
    assert run.code != 0
    assert "Traceback" not in run.output
    assert len(run.errors) == 1, f"{run.errors}, see {run.log}"
    missing = [word for word in words if word not in run.errors[0]]
    assert missing == [], f"{run.errors[0]!r} does not name {missing}, see {run.log}"


def ports(*entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"dockfra_ports": list(entries)}


def test_a_port_that_another_process_has(platform: Platform, extra: Any) -> None:
    with socket.create_server((LOCALHOST, 0)) as server:
        number = server.getsockname()[1]
        offset = platform.published("db", "postgres") - 5432
        inventory = extra({"db": ports({"name": "postgres", "port": 5432, "publish": number - offset})})
        run = runs.playbook("site.yml", inventories=[INVENTORY, inventory], name="port-taken")
    refused(run, "db: port", str(number), f"(pid {os.getpid()})", "`publish`", "dockfra_ports")


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        (
            "role-variable",
            {"redis": {"redis_maxmemry": "64m"}},
            ["redis", "redis_maxmemry", "did you mean 'redis_maxmemory'"],
        ),
        (
            "same-host-port",
            {"redis": {"dockfra_ports": [{"name": "redis", "port": 6379, "publish": 5432}]}},
            ["redis", "db", "5432", "`publish`", "dockfra_ports"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_in_the_inventory(
    platform: Platform, extra: Any, name: str, variables: dict[str, Any], words: list[str]
) -> None:
    """A wrong value, and values that contradict each other; all the others are tested on the library."""
    refused(runs.playbook("site.yml", inventories=[INVENTORY, extra(variables)], name=name), *words)


def test_a_foreign_container_with_a_services_name(platform: Platform, extra: Any) -> None:
    name = platform.topology.container_name("stranger")
    image = platform.container("redis").attrs["Config"]["Image"]
    platform.docker.api.create_container(image, name=name, labels={OF_TESTS: ""})
    try:
        inventory = extra(
            {
                "stranger": {
                    "dockfra_description": "Not ours",
                    "dockfra_user": "stranger",
                    "dockfra_uid": 20000,
                    "dockfra_networks": ["desktop-net"],
                    "dockfra_image": image,
                }
            }
        )
        run = runs.playbook("site.yml", inventories=[INVENTORY, inventory], name="foreign-container")
    finally:
        platform.docker.api.remove_container(name, force=True)
    refused(run, name, "not made by this platform", "Rename or remove it")


@pytest.mark.parametrize("limit", ["nosuch", "db,nosuch"])
def test_an_unknown_service_in_limit(platform: Platform, limit: str) -> None:
    run = runs.playbook("site.yml", "--limit", limit, name="unknown-limit")
    assert run.code != 0
    assert "Traceback" not in run.output
    assert [line for line in run.output.splitlines() if "nosuch" in line], run.output
    assert "ok=" not in run.output, "went on with the rest"


def test_an_inventory_without_services(platform: Platform, tmp_path: Path) -> None:
    inventory = tmp_path / "empty.yml"
    inventory.write_text("docker_hosts: {hosts: {localhost: }}\nall: {hosts: {lonely: }}\n")
    run = runs.playbook("site.yml", inventories=[inventory], name="no-services")
    assert run.code != 0
    assert "Traceback" not in run.output
    assert "dockfra_networks" in run.output
    assert "-i inventories/local" in run.output


# What the machine may lack ----------------------------------------------------------------------------------------


@pytest.fixture
def as_nobody() -> Iterator[tuple[list[str], Path]]:
    """A prefix that runs a command as an ordinary user, and that user's home directory with a clone in it.

    Neither this clone nor pytest's own directories can be entered by others, wherever they lie.
    """
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("becoming an ordinary user takes root and setpriv")
    home = Path(tempfile.mkdtemp(prefix="dockfra-home-"))
    runs.copy_tree(home / "clone")
    subprocess.run(["chown", "--recursive", f"{_NOBODY}:{_NOBODY}", str(home)], check=True)
    prefix = [
        *("setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--no-new-privs"),
        # Its Python is this clone's, which may lie in a home directory.
        *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
        *("--bounding-set", "-all,+dac_read_search", "env", f"HOME={home}", f"TMPDIR={home}"),
    ]
    yield prefix, home
    shutil.rmtree(home)


@pytest.fixture
def elsewhere(tmp_path: Path) -> list[str]:
    """Options for a platform of another name, which is never made."""
    return ["-e", "dockfra_project=dockfra-nowhere", "-e", "dockfra_port_offset=25000"]


def test_no_docker_and_no_right_to_install_it_finding_t2(
    platform: Platform, as_nobody: tuple[list[str], Path], elsewhere: list[str]
) -> None:
    prefix, home = as_nobody
    run = runs.playbook(
        "site.yml",
        *elsewhere,
        *("-e", f"dockfra_state_dir={home / 'state'}", "-e", f"dockfra_data_root={home / 'data'}"),
        *("-e", "ansible_become=false"),
        root=home / "clone",
        prefix=prefix,
        env={"DOCKER_HOST": "unix:///nonexistent.sock"},
        name="no-docker-no-right",
    )
    refused(run, "No Docker Engine answers", "needs root", "sudo")


def test_no_docker_on_a_system_where_it_cannot_be_installed(
    platform: Platform, elsewhere: list[str], tmp_path: Path
) -> None:
    """Another system's name over this one's, in a mount namespace of the run's own; nothing can be installed there."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace takes root")
    release = tmp_path / "os-release"
    release.write_text('NAME="Fedora Linux"\nID=fedora\nVERSION_ID=44\nPRETTY_NAME="Fedora Linux 44"\n')
    targets = {"/etc/os-release": release, "/etc/debian_version": Path("/dev/null")}
    never = [path for path in map(shutil.which, ("apt-get", "dockerd", "systemctl")) if path]
    mounts = [f"mount --bind {source} {Path(target).resolve()}" for target, source in targets.items()]
    mounts += [f"mount --bind {shutil.which('false')} {Path(path).resolve()}" for path in never]
    run = runs.playbook(
        "site.yml",
        *elsewhere,
        *("-e", f"dockfra_state_dir={tmp_path / 'state'}"),
        prefix=["unshare", "--mount", "sh", "-c", f'{" && ".join(mounts)} && exec "$@"', "sh"],
        env={"DOCKER_HOST": "unix:///nonexistent.sock"},
        name="unsupported-system",
    )
    refused(run, "Fedora", "cannot be installed", "Install Docker Engine yourself")


def test_check_mode_without_docker_shows_what_would_be_made(
    platform: Platform, elsewhere: list[str], tmp_path: Path
) -> None:
    run = runs.playbook(
        "site.yml",
        *("--check", "--diff", *elsewhere, "-e", f"dockfra_state_dir={tmp_path / 'state'}"),
        env={"DOCKER_HOST": "unix:///nonexistent.sock"},
        name="check-without-docker",
    ).ok()
    for name in platform.names:
        assert f"{name} (create" in run.output, name
    assert not (tmp_path / "state").exists()


def test_a_full_disk_during_a_build_finding_t3(platform: Platform, tmp_path: Path) -> None:
    """The directory for build contexts is on a file system of two pages. The image at the root differs, so no machine has it."""
    if os.geteuid() != 0:
        pytest.skip("a file system of a size of its own takes root")
    clone, full = runs.copy_tree(tmp_path / "clone"), tmp_path / "full"
    full.mkdir()
    with (clone / BASE_IMAGE / "apt.conf").open("a") as settings:
        settings.write("// changed\n")
    run = runs.playbook(
        "site.yml",
        *("--limit", "redis", "-e", f"dockfra_state_dir={platform.state}", "-e", f"dockfra_data_root={full}"),
        root=clone,
        prefix=[
            "unshare",
            "--mount",
            "sh",
            "-c",
            f'mount -t tmpfs -o size=8k tmpfs {full} && exec "$@"',
            "sh",
        ],
        name="full-disk",
    )
    refused(run, f"{full}/", "/build/base/", "No space left on device", "free space")
