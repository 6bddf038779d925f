"""The platform's end: what it made is gone. That nothing else is, the whole session is watched for (`untouched`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.e2e.conftest import KEEP, REMOVE_DATA
from tests.e2e.support import runs
from tests.e2e.support.engines import OF_TESTS
from tests.e2e.support.platform import Platform


@contextmanager
def stranger_on(platform: Platform, network: str) -> Iterator[Container]:
    """A running container of somebody else on one of the platform's networks."""
    container = platform.docker.containers.run(
        platform.container("ssh-manager").attrs["Config"]["Image"],
        ["300"],
        entrypoint="sleep",
        name=f"{platform.topology.project}-stranger",
        labels={OF_TESTS: ""},
        network=platform.topology.network_name(network),
        detach=True,
        init=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def project_volumes(platform: Platform) -> set[str]:
    """The names of the volumes that are the platform's."""
    found = platform.docker.volumes.list(filters={"label": f"dockfra.project={platform.topology.project}"})
    return {volume.name for volume in found}


@pytest.mark.skipif(KEEP, reason="DOCKFRA_KEEP is set")
def test_teardown_leaves_the_data_and_what_is_not_ours_finding_p1_p11(platform: Platform) -> None:
    """All of the project goes, what the inventory does not name any more as well: the tests before have added services."""
    project = platform.topology.project
    containers = set(platform.ids())
    assert containers >= set(platform.names)
    volumes = project_volumes(platform)
    assert volumes >= {
        platform.topology.volume_name(volume.name)
        for service in platform.topology.containers()
        for volume in platform.topology.volumes(service.name)
    }
    images = len(platform.docker.images.list())
    configuration = {
        Path(mount["Source"])
        for name in platform.names
        for mount in platform.container(name).attrs["Mounts"]
        if mount["Type"] == "bind"
    }
    # What the inventory takes from the host is not the platform's.
    hosts_own = {Path(bind.source) for service in platform.topology.containers() for bind in service.binds}
    configuration -= {path for path in configuration if path in hosts_own or path.resolve() in hosts_own}
    assert configuration
    assert all(path.exists() for path in configuration)

    limited = runs.playbook(
        *("playbooks/teardown.yml", "--limit", "redis", "-e", "dockfra_remove_data=true"), name="teardown-one"
    ).ok()
    assert limited.hosts == {"redis"}
    assert set(platform.ids()) == containers - {"redis"}
    assert platform.key("manager").exists()
    platform.docker.volumes.get(platform.topology.volume_name("redis-data"))

    with stranger_on(platform, "dev-net") as stranger:
        run = runs.playbook(
            "playbooks/teardown.yml", "-e", "dockfra_remove_images=false", name="teardown"
        ).ok()
        stranger.reload()
        assert stranger.status == "running"
        network = platform.topology.network_name("dev-net")
        assert list(stranger.attrs["NetworkSettings"]["Networks"]) == [network]
        assert str(stranger.name) in run.output
    assert platform.ids() == {}
    left = platform.docker.networks.list(filters={"label": f"dockfra.project={project}"})
    assert [found.name for found in left] == [network]
    assert project_volumes(platform) == volumes
    assert platform.key("manager").exists()
    assert not [path for path in configuration if path.exists()]
    assert all(path.exists() for path in hosts_own)

    refused = runs.playbook("playbooks/teardown.yml", *REMOVE_DATA, name="teardown-unconfirmed")
    assert refused.code != 0
    assert all(volume in refused.errors[0] for volume in volumes)
    assert f"-e dockfra_confirm={project}" in refused.errors[0]
    assert {volume.name for volume in platform.docker.volumes.list()} >= volumes
    assert platform.key("manager").exists()

    confirmed = (*REMOVE_DATA, "-e", f"dockfra_confirm={project}")
    removed = runs.playbook("playbooks/teardown.yml", *confirmed, name="teardown-with-data").ok()
    assert removed.changed > 0
    assert platform.docker.networks.list(filters={"label": f"dockfra.project={project}"}) == []
    assert project_volumes(platform) == set()
    assert not [volume for volume in platform.docker.volumes.list() if volume.name.startswith(f"{project}-")]
    assert not platform.state.exists()
    assert len(platform.docker.images.list()) >= images

    assert runs.playbook("playbooks/teardown.yml", *confirmed, name="teardown-again").ok().changed == 0
