"""playbooks/site.yml as it is, for two servers whose containers are replaced one after the other; the engine is nothing but files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.platforms import ROOT
from tests.unit.staged import FAKES, Staged, vault_password

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of services belong to users of their own")

# In the order in which they are replaced: the end of a link, others, and what the backend needs before itself.
SERVING = ["tunnel", "ssh-frontend", "db", "redis", "backend"]
PLAN = (
    "In this order, as each is well: git, then tunnel, then ssh-frontend, then db, then redis, then backend"
)


class Upgraded(Staged):
    """A platform of which some services are to be replaced (`SERVING`), and one has no container (git)."""

    playbook = "site.yml"
    display = "dockfra_progress"

    def deploy(self) -> None:
        super().deploy()
        docker = self.root / "collections/ansible_collections/community/docker/plugins"
        for name in ("docker_container.py", "docker_image.py"):
            (docker / "action" / name).write_text((FAKES / name).read_text())
        [real] = ROOT.glob(".venv/lib/python3*/site-packages/ansible_collections/community/docker/plugins")
        for name in ("modules", "module_utils", "doc_fragments", "plugin_utils"):
            (docker / name).symlink_to(real / name)
        engine = json.loads((self.root / "engine.json").read_text())
        declared = engine["containers"]
        (self.root / "declared.json").write_text(json.dumps(declared))
        (self.root / "made").mkdir()
        self.ill()
        del declared["dockfra-git"]
        for name in SERVING:
            declared[f"dockfra-{name}"]["options"]["memory"] = 1
        (self.root / "engine.json").write_text(json.dumps(engine))

    def ill(self, *services: str) -> None:
        """From now on the containers that are made of these never get well."""
        (self.root / "ill.json").write_text(json.dumps([f"dockfra-{name}" for name in services]))

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "DOCKER_HOST": f"unix://{self.root}/none.sock"}

    def change(self, service: str, **values: object) -> None:
        """Let a service's container be otherwise than it was."""
        engine = json.loads((self.root / "engine.json").read_text())
        engine["containers"][f"dockfra-{service}"] |= values
        (self.root / "engine.json").write_text(json.dumps(engine))

    def lose_images(self, *names: str) -> list[str]:
        """Let the images of these names be ones that are still to be built; returns them."""
        engine = json.loads((self.root / "engine.json").read_text())
        lost = [image for image in engine["images"] if re.match(rf"dockfra/({'|'.join(names)}):", image)]
        for image in lost:
            del engine["images"][image]
        (self.root / "engine.json").write_text(json.dumps(engine))
        return lost

    def site(self, *words: str) -> subprocess.CompletedProcess[str]:
        # The servers are this machine, which nobody asked to prepare.
        return self.run("--skip-tags", "server", *words)

    def made(self) -> list[str]:
        """The containers made since this was asked last, in order."""
        log = self.root / "made.log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return [name.removeprefix("dockfra-") for name in names]


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Upgraded]:
    with vault_password():
        yield Upgraded(tmp_path)


def test_the_first_that_does_not_get_well_ends_the_run_and_the_next_one_goes_on_there(
    upgraded: Upgraded,
) -> None:
    upgraded.ill("db")
    failed = upgraded.site("-e", "dockfra_healthy_timeout=5")
    assert failed.returncode == 2, failed.stdout[-6000:]
    assert upgraded.made() == ["git", "tunnel", "ssh-frontend", "db"]
    assert f"{PLAN}\n" in failed.stdout
    assert failed.stdout.count("PLAY [Bring the services to their declared state]") == 1
    end = failed.stdout.split("PLAY RECAP")[1]
    assert [line for line in end.splitlines() if line.startswith(("FAILED", "Done", "Not touched"))] == [
        "FAILED db is not ready after 5 s. Its container dockfra-db is unhealthy.",
        "Done: git, tunnel, ssh-frontend",
        "Not touched, because the run ends at the first that does not get well: redis, backend",
    ]
    assert "run ./init.sh production again" in end
    # What was not touched is no finding.
    assert "is not as declared" not in failed.stdout

    upgraded.ill()
    mended = upgraded.site()
    assert mended.returncode == 0, mended.stdout[-6000:]
    assert upgraded.made() == ["db", "redis", "backend"]
    nothing = upgraded.site()
    assert nothing.returncode == 0, nothing.stdout[-6000:]
    assert upgraded.made() == []
    assert set(re.findall(r"changed=(\d+)", nothing.stdout)) == {"0"}
    assert "In this order" not in nothing.stdout


def test_what_has_no_container_or_does_not_serve_comes_first_and_ends_the_run_as_well(
    upgraded: Upgraded,
) -> None:
    upgraded.ill("git")
    failed = upgraded.site()
    assert failed.returncode == 2, failed.stdout[-6000:]
    assert upgraded.made() == ["git"]
    assert f": {', '.join(SERVING)}\n" in failed.stdout
    upgraded.change("db", status="unhealthy")
    # One of a step that fails is no reason to leave out the others of the step.
    failed = upgraded.site("--limit", "git,db,tunnel,ssh-frontend")
    assert failed.returncode == 2, failed.stdout[-6000:]
    assert sorted(upgraded.made()) == ["db", "git"]
    assert "Done: db\n" in failed.stdout
    assert ": tunnel, ssh-frontend\n" in failed.stdout
    assert "is not as declared" not in failed.stdout


def test_an_image_that_cannot_be_built_is_no_reason_to_touch_anything(upgraded: Upgraded) -> None:
    upgraded.lose_images("ssh-manager")
    (upgraded.root / "built.log").mkdir()  # it cannot be written
    failed = upgraded.site("--limit", "ssh-manager,ssh-frontend,db")
    assert failed.returncode == 2, failed.stdout[-6000:]
    assert upgraded.made() == []
    assert (
        "FAILED ssh-manager: Say what stopped the build: dockfra/ssh-manager could not be built"
        in failed.stdout
    )
    assert "ends at the first that does not get well: ssh-manager, ssh-frontend, db\n" in failed.stdout
    assert "is not as declared" not in failed.stdout


def test_an_image_is_built_after_those_it_stands_on_whatever_is_replaced_first(upgraded: Upgraded) -> None:
    """The app server's end of the link comes first, on an image that a service of the other server is to build."""
    lost = upgraded.lose_images("gate", "tunnel", "tunnel-app", "ssh-frontend")
    done = upgraded.site("--limit", "ssh-manager,tunnel-app,tunnel,ssh-frontend")
    assert "could not be built" not in done.stdout
    first, *others = (upgraded.root / "built.log").read_text().split()
    assert first.startswith("dockfra/gate:"), done.stdout[-6000:]
    assert sorted(others) == sorted(image for image in lost if not image.startswith("dockfra/gate:"))


def test_the_plan_shows_the_order_and_parallel_does_all_at_once(upgraded: Upgraded) -> None:
    shown = upgraded.site("--check")
    assert shown.returncode == 0, shown.stdout[-6000:]
    assert f"{PLAN}\n" in shown.stdout
    assert upgraded.made() == []
    upgraded.ill("db")
    failed = upgraded.site("-e", "dockfra_upgrade=parallel")
    assert failed.returncode == 2, failed.stdout[-6000:]
    assert sorted(upgraded.made()) == sorted(["git", *SERVING])
    assert "In this order" not in failed.stdout
    assert "Not touched" not in failed.stdout
    assert "FAILED db is not as declared" in failed.stdout
