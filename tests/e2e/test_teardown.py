"""The platform's end: what it made is gone. That nothing else is, the whole session is watched for (`untouched`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import KEEP
from tests.e2e.support import runs
from tests.e2e.support.platform import Platform


@pytest.mark.skipif(KEEP, reason="DOCKFRA_KEEP is set")
def test_teardown_leaves_the_data_until_it_is_asked_to_remove_it(platform: Platform) -> None:
    project = platform.topology.project
    volumes = {
        platform.topology.volume_name(volume.name)
        for s in platform.topology.containers()
        for volume in platform.topology.volumes(s.name)
    }
    images = len(platform.docker.images.list())
    configuration = {
        Path(mount["Source"])
        for name in platform.names
        for mount in platform.container(name).attrs["Mounts"]
        if mount["Type"] == "bind"
    }
    assert configuration
    assert all(path.exists() for path in configuration)

    limited = runs.playbook(
        *("playbooks/teardown.yml", "--limit", "redis", "-e", "dockfra_remove_data=true"), name="teardown-one"
    ).ok()
    assert limited.hosts == {"redis"}
    assert set(platform.ids()) == set(platform.names) - {"redis"}
    assert platform.key("manager").exists()
    platform.docker.volumes.get(platform.topology.volume_name("redis-data"))

    runs.playbook("playbooks/teardown.yml", "-e", "dockfra_remove_images=false", name="teardown").ok()
    assert platform.ids() == {}
    assert platform.docker.networks.list(filters={"label": f"dockfra.project={project}"}) == []
    kept = platform.docker.volumes.list(filters={"label": f"dockfra.project={project}"})
    assert {volume.name for volume in kept} == volumes
    assert platform.key("manager").exists()
    assert not [path for path in configuration if path.exists()]

    removed = runs.playbook(
        *("playbooks/teardown.yml", "-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false"),
        name="teardown-with-data",
    ).ok()
    assert removed.changed > 0
    assert platform.docker.volumes.list(filters={"label": f"dockfra.project={project}"}) == []
    assert not [volume for volume in platform.docker.volumes.list() if volume.name.startswith(f"{project}-")]
    assert not platform.state.exists()
    assert len(platform.docker.images.list()) >= images

    again = runs.playbook(
        "playbooks/teardown.yml", "-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false"
    )
    assert again.ok().changed == 0
