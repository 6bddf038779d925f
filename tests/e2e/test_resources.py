"""What the platform takes of the machine while nothing happens."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.support.platform import Platform
from tests.e2e.support.runs import REPORTS

_MEMORY = 1 << 30
_IMAGES = 2_200_000_000


def keep(what: str, figure: str) -> None:
    """Figures stay among the reports, also of a run that passes."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    with (REPORTS / "figures.txt").open("a") as stream:
        stream.write(f"{datetime.now():%Y-%m-%d %H:%M}  {what}: {figure}\n")


def test_idle_memory(platform: Platform) -> None:
    """Memory of all containers, the page cache that the kernel would give back left out."""

    def measure(name: str) -> int:
        stats = platform.docker.api.stats(str(platform.container(name).id), stream=False, one_shot=True)[
            "memory_stats"
        ]
        # cgroup v1 and v2 name it differently.
        cache = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        return int(stats["usage"] - cache)

    with ThreadPoolExecutor(len(platform.names)) as pool:
        used = dict(zip(platform.names, pool.map(measure, platform.names), strict=True))
    total = sum(used.values())
    for name, size in sorted(used.items(), key=lambda pair: -pair[1]):
        print(f"{name:16} {size / 2**20:7.1f} MiB")
    print(f"{'all services':16} {total / 2**20:7.1f} MiB")
    keep("idle memory", f"{total / 2**20:.0f} MiB")
    assert total < _MEMORY


def test_image_size(platform: Platform) -> None:
    """Each layer counted once, however many images stand on it."""
    layers: dict[tuple[Any, ...], int] = {}
    for name in platform.names:
        chain: tuple[Any, ...] = ()
        image = platform.container(name).attrs["Image"]
        for step in reversed(platform.docker.api.history(image)):
            chain = (*chain, step["Created"], step["CreatedBy"], step["Size"])
            layers[chain] = int(step["Size"])
    total = sum(layers.values())
    print(f"images of all services: {total / 1e6:.0f} MB")
    keep("images, each layer once", f"{total / 1e6:.0f} MB")
    assert 100_000_000 < total < _IMAGES


_BUSY = (
    "import os, sys, time; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); end = float(sys.argv[1])\n"
    "while time.time() < end: pass\n"
    "print(time.process_time())"
)


@pytest.mark.one_host
def test_what_serves_comes_before_what_roles_run_and_deploy(platform: Platform) -> None:
    """Of one processor that all want at the same time."""
    names = ["backend", "ssh-monitor", "ssh-backend", "ssh-developer"]
    end = str(time.time() + 6)

    def work(name: str) -> float:
        return float(platform.run(name, "python3", "-c", _BUSY, end).stdout)

    with ThreadPoolExecutor(len(names)) as pool:
        served, *others = pool.map(work, names)
    assert served > 1.5 * max(others), (served, others)


def test_no_supervisor_starts_anything_while_nothing_happens(platform: Platform) -> None:
    """What a container is not configured for is not started, over and over, only to end."""

    def ended() -> dict[str, str]:
        """Per container what the kernel has counted of its supervisor's processes that have ended; see cminflt in proc(5)."""
        found = {}
        for service in platform.topology.containers():
            if service.ssh_ports:
                engine = platform.engine(service.name)
                told: Any = engine.client.api.top(platform.topology.container_name(service.name))
                number = told["Titles"].index("PID")
                [pid] = [each[number] for each in told["Processes"] if each[-1].startswith("s6-svscan ")]
                fields = engine.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found[service.name] = fields[8]
        return found

    before = ended()
    assert before
    time.sleep(2.5)
    assert ended() == before
