"""Where the base image comes from: a registry's wrong or cut answer is one clear line, and nothing is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from tests.e2e.support import runs
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


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
    untouched: None, registry: FakeRegistry, tmp_path: Path, fault: str, reason: str
) -> None:
    image = f"{registry.address}/debian:trixie-slim"
    registry.fault = fault
    run = runs.playbook(
        "site.yml",
        *("-e", "dockfra_project=dockfra-nowhere", "-e", "dockfra_port_offset=25000"),
        *("-e", f"dockfra_state_dir={tmp_path / 'state'}", "-e", f"dockfra_data_root={tmp_path / 'data'}"),
        *("-e", f"dockfra_base_image={image}", "--limit", "redis"),
        name=f"registry-{fault}",
    )
    try:
        assert run.code != 0
        assert len(run.errors) == 1, f"{run.errors}, see {run.log}"
        assert f"{image} could not be pulled on localhost: " in run.errors[0]
        assert reason in run.errors[0]
        assert "http+docker" not in run.errors[0]
        assert "Check that its registry" in run.errors[0]
        with pytest.raises(ImageNotFound):
            docker.from_env().images.get(image)
    finally:
        runs.playbook(
            "playbooks/teardown.yml",
            *("-e", "dockfra_project=dockfra-nowhere", "-e", "dockfra_remove_data=true"),
            *(
                "-e",
                f"dockfra_state_dir={tmp_path / 'state'}",
                "-e",
                f"dockfra_data_root={tmp_path / 'data'}",
            ),
            *("-e", "dockfra_remove_images=false"),
        )
