"""Where the base image comes from: pulled, it makes the same platform; a wrong or cut answer is one clear line."""

from __future__ import annotations

import functools
import io
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from tests.e2e.support import runs
from tests.e2e.support.platform import Platform, eventually, read_inventory
from tests.e2e.support.runs import INVENTORY
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@functools.cache
def networks() -> dict[str, dict[str, object]]:
    """The platform's networks with addresses of their own: Docker's pools have room for those of three platforms and no more."""
    hosts = read_inventory(INVENTORY).values()
    declared = next(iter(hosts))["dockfra_network_options"]
    names = sorted({name for values in hosts for name in values["dockfra_networks"]})
    return {
        name: {**declared.get(name, {}), "subnet": f"10.231.{number}.0/24"}
        for number, name in enumerate(names)
    }


def options(folder: Path, image: str) -> list[str]:
    """Those of a platform of its own, beside that of the other tests, on another base image."""
    variables = {
        "dockfra_project": "dockfra-pulled",
        "dockfra_port_offset": 25000,
        "dockfra_state_dir": str(folder / "state"),
        "dockfra_data_root": str(folder / "data"),
        "dockfra_base_image": image,
        "dockfra_network_options": networks(),
    }
    return ["-e", json.dumps(variables)]


def remove(chosen: list[str]) -> None:
    """Remove that platform with its data."""
    removal = {
        "dockfra_remove_data": True,
        "dockfra_confirm": "dockfra-pulled",
        "dockfra_remove_images": False,
    }
    runs.playbook("playbooks/teardown.yml", *chosen, "-e", json.dumps(removal), name="pulled-teardown").ok()


@pytest.fixture(scope="module")
def place(untouched: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where that platform is for all tries to pull, none of which gets further than that; removed at the end."""
    folder = tmp_path_factory.mktemp("pulled")
    yield folder
    remove(options(folder, "debian:trixie-slim"))


# What Docker tries again for a minute and a half is in the slow ones.
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("closed", "EOF"),
        ("digest", "filesystem layer verification failed"),
        ("html", "invalid character '<'"),
        ("404", "manifest unknown"),
        pytest.param("cut", "", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_or_cut_answer_is_one_line_finding_t5(
    place: Path, registry: FakeRegistry, fault: str, reason: str
) -> None:
    image = f"{registry.address}/debian:trixie-slim"
    registry.fault = fault
    run = runs.playbook("site.yml", *options(place, image), "--limit", "redis", name=f"registry-{fault}")
    assert run.code != 0
    assert len(run.errors) == 1, f"{run.errors}, see {run.log}"
    assert f"{image} could not be pulled on localhost: " in run.errors[0]
    assert reason in run.errors[0]
    assert "http+docker" not in run.errors[0]
    assert "Check that its registry" in run.errors[0]
    with pytest.raises(ImageNotFound):
        docker.from_env().images.get(image)


@pytest.fixture
def slim_image(untouched: None, tmp_path: Path) -> Iterator[str]:
    """In Debian's own registry, an image without certificates as the official slim one is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    settings = tmp_path / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    settings.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": place}}))
    client, name = docker.from_env(timeout=300), f"{place}/debian"
    recipe = b"FROM debian:trixie-slim\nRUN dpkg --purge --force-depends ca-certificates openssl\n"
    with subprocess.Popen(["docker-registry", "serve", str(settings)], stderr=subprocess.DEVNULL) as server:
        try:
            client.images.build(fileobj=io.BytesIO(recipe), tag=f"{name}:trixie-slim", rm=True)
            eventually(lambda: "errorDetail" not in client.images.push(name, "trixie-slim"), "it is pushed")
            client.images.remove(f"{name}:trixie-slim")
            yield f"{name}:trixie-slim"
        finally:
            server.terminate()


@pytest.mark.slow
def test_a_pulled_image_without_certificates_makes_the_same_platform_finding_t5(
    platform: Platform, slim_image: str, tmp_path: Path
) -> None:
    chosen = options(tmp_path, slim_image)
    try:
        runs.playbook("site.yml", *chosen, name="pulled", timeout=900).ok()
        assert docker.from_env().images.get(slim_image)
        assert runs.playbook("playbooks/verify.yml", *chosen, name="pulled-verify").ok().changed == 0
        assert runs.playbook("site.yml", *chosen, name="pulled-again").ok().changed == 0
    finally:
        remove(chosen)
