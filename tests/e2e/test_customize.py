"""What docs/customize.md shows, done in a clone: other ports, a service, a command, an application of one's own; and all checks are well."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology
from tests.e2e.conftest import KEEP, remove
from tests.e2e.support import runs
from tests.e2e.support.deploys import QUICK, Team
from tests.e2e.support.platform import Platform, eventually, read_inventory, read_topology
from tests.e2e.support.runs import INVENTORY
from tests.e2e.test_reachability import reached_edges

GUIDE = "docs/customize.md"
# A block whose first line names the file that it is.
FILE = re.compile(r"^```\w+\n# (?P<path>\S+/\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
POLICY = re.compile(r"^```yaml\n(?P<line>disk-space: .*)\n```$", re.MULTILINE)
COMMANDS = re.compile(r"^```sh\n(?P<text>[^`]*app/hello[^`]*)^```$", re.MULTILINE)
DEPLOY_GUIDE = "docs/deploy.md"
EXAMPLE = re.compile(r"^```sh\n(?P<text>cp -r examples/greeter[^`]*)^```$", re.MULTILINE)
GIVE = re.compile(r"^tar -C app -c greeter \| ssh -F \S+ developer '(?P<line>[^']+)'$", re.MULTILINE)
# A device of somebody's own is not at hand.
ELSEWHERE = {"inventories/local/host_vars/rpi3.yml"}

# Where the reader has put an application: a directory for the backend, an image for the frontend.
OWN_BACKEND = "/srv/shop/backend"
OWN_FRONTEND = "registry.example.org/shop/frontend:1.4"
OWN_PAGE = "The shop's own page"

Ports = list[dict[str, Any]]


def moved(ports: Ports) -> Ports:
    """The same ports by other numbers, inside and outside."""
    return [
        {
            **entry,
            "port": entry["port"] + 1000,
            **({"publish": entry["publish"] + 1500} if entry.get("publish") else {}),
        }
        for entry in ports
    ]


def declared_ports() -> dict[str, Ports]:
    """Every service's ports as the inventory has them, before the offset."""
    return {
        name: values["dockfra_ports"]
        for name, values in read_inventory(INVENTORY).items()
        if values.get("dockfra_ports")
    }


def write_examples(clone: Path, backend: Path) -> str:
    """Write what the guide shows into a clone; returns the commands that try it."""
    guide = (clone / GUIDE).read_text(encoding="utf-8")
    written = set()
    for example in FILE.finditer(guide):
        if example["path"] in ELSEWHERE:
            continue
        path = clone / example["path"].replace("inventories/local", INVENTORY)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example["text"].replace(OWN_BACKEND, str(backend)), encoding="utf-8")
        written.add(example["path"])
    assert len(written) >= 6, written
    rule = POLICY.search(guide)
    assert rule
    policy = clone / "inventories/policy.yml"
    before, heading, after = policy.read_text(encoding="utf-8").partition("    dockfra_commands:\n")
    assert heading
    policy.write_text(f"{before}{heading}      {rule['line']}\n{after}", encoding="utf-8")
    commands = COMMANDS.search(guide)
    assert commands
    return commands["text"]


# http.server lets five connections wait, and all containers open one at the same time where edges are compared.
OWN_SERVER = (
    "import runpy, socketserver, sys; socketserver.TCPServer.request_queue_size = 128; "
    "sys.argv[1:] = ['3000', '--directory', '/srv/page']; runpy.run_module('http.server', run_name='__main__')"
)


def build_frontend(platform: Platform, context: Path) -> None:
    """An image that somebody has made without this project, on another port."""
    parent = platform.container("desktop-app").attrs["Config"]["Image"]
    context.mkdir()
    (context / "index.html").write_text(OWN_PAGE)
    (context / "Dockerfile").write_text(
        f"FROM {parent}\nUSER root\nRUN apt-get update && apt-get install -y --no-install-recommends curl\n"
        "COPY index.html /srv/page/\n"
        f"ENTRYPOINT {json.dumps(['python3', '-c', OWN_SERVER])}\n"
    )
    platform.docker.images.build(path=str(context), tag=OWN_FRONTEND, rm=True, forcerm=True)


@pytest.fixture(scope="session")
def customized(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform as the guide's reader has changed it, on ports that are all others.

    To put all of it back takes minutes, so these tests come last before the platform's end, and it is put back only where the
    platform stays.
    """
    folder = tmp_path_factory.mktemp("customized")
    clone = runs.copy_tree(folder / "clone")
    shutil.copytree(clone / "app/backend", folder / "backend")
    build_frontend(platform, folder / "frontend")
    commands = write_examples(clone, folder / "backend")
    example = EXAMPLE.search((clone / DEPLOY_GUIDE).read_text(encoding="utf-8"))
    assert example
    commands += example["text"]
    shutil.copytree(clone / "examples/greeter/inventories/local", clone / "examples/greeter" / INVENTORY)
    for line in commands.splitlines():
        if not line.startswith(("./init.sh", "curl")):
            subprocess.run(["bash", "-c", line], cwd=clone, check=True)
    services = {name: {"dockfra_ports": moved(ports)} for name, ports in declared_ports().items()}
    # What the guide says in host_vars comes before this.
    (clone / INVENTORY / "90-moved.yml").write_text(yaml.safe_dump({"all": {"hosts": services}}))
    state = f"dockfra_state_dir={platform.state}"
    try:
        runs.playbook("site.yml", "-e", state, root=clone, name="customized").ok()
        assert runs.playbook("site.yml", "-e", state, root=clone, name="customized-twice").ok().changed == 0
        runs.playbook("playbooks/verify.yml", "-e", state, root=clone, name="customized-verify").ok()
        yield Platform(read_topology(INVENTORY, root=clone), platform.state)
    finally:
        if KEEP:
            runs.playbook("site.yml", name="customized-back").ok()
            # A service that goes leaves its data.
            for volume in ("greeter-releases", "greeter-state"):
                platform.docker.volumes.get(platform.topology.volume_name(volume)).remove()
        else:
            remove(platform, "customized-end")
        platform.docker.images.remove(OWN_FRONTEND, force=True)


def all_well(platform: Platform, topology: Topology) -> None:
    """By every check there is: Docker's, the monitor's two, and each connection that is declared."""
    found = Platform(topology, platform.state)
    assert set(found.ids()) == set(found.names)
    found.wait_healthy(*found.names)
    verified = found.ssh("monitor", "verify")
    assert verified.returncode == 0, f"{verified.stdout}{verified.stderr}"
    status = json.loads(found.ssh("monitor", "status", "--now", "--json").stdout)
    assert {entry["service"] for entry in status["services"]} <= set(topology.services)
    assert [entry for entry in status["services"] if entry["state"] != "up"] == []
    assert reached_edges(found, topology) == topology.edges()


def test_every_port_is_another_one_and_all_is_well_finding_p3(customized: Platform) -> None:
    before = declared_ports()
    for name, ports in before.items():
        for entry in ports:
            now = customized.topology.services[name].port(entry["name"])
            own = name in ("db", "frontend")  # the guide has its say
            assert own or now.number == entry["port"] + 1000
            assert not entry.get("publish") or now.publish not in (entry["publish"], entry["publish"] + 20000)
    all_well(customized, customized.topology)


def test_people_and_roles_get_in_on_other_ports(customized: Platform) -> None:
    for role in ("manager", "autopilot", "developer", "monitor"):
        assert customized.ssh(role, "true").returncode == 0, role
    eventually(lambda: customized.ssh("manager", "status").returncode == 0, "the watch sees all up", 30)
    assert (
        customized.ssh("developer", "cd app && date >moved && commit-push 'On another port'").returncode == 0
    )


def test_the_guides_service_and_own_application_answer_finding_u4(
    customized: Platform, web: requests.Session
) -> None:
    assert web.get(customized.url("/hello/")).text == "Hello\n"
    assert web.get(customized.url("/")).text == OWN_PAGE
    assert web.get(customized.url("/api/info")).json()
    status = json.loads(customized.ssh("monitor", "status", "--now", "--json").stdout)
    states = {entry["service"]: entry["state"] for entry in status["services"]}
    assert (states["hello"], states["frontend"], states["backend"]) == ("up", "up", "up")


def test_the_examples_application_is_deployed_from_a_push(
    customized: Platform, web: requests.Session, tmp_path: Path
) -> None:
    team = Team(customized)
    assert web.get(customized.url("/greeter")).text == "Hello\n"
    give = GIVE.search((runs.ROOT / DEPLOY_GUIDE).read_text(encoding="utf-8"))
    assert give
    shutil.copytree(runs.ROOT / "examples/greeter/app/greeter", tmp_path / "greeter")
    greeter = tmp_path / "greeter/greeter.py"
    greeter.write_text(greeter.read_text().replace("Hello", "Good day"))
    (tmp_path / "greeter/tests/test_greeter.py").write_text(
        (tmp_path / "greeter/tests/test_greeter.py").read_text().replace("Hello", "Good day")
    )
    try:
        # The guide's backend is another one; its tests are not the matter here.
        team.push("Without tests", QUICK)
        packed = subprocess.run(["tar", "-C", tmp_path, "-c", "greeter"], capture_output=True, check=True)
        ssh = ["ssh", "-F", str(customized.state / "ssh_config"), "developer"]
        subprocess.run([*ssh, "cd app && git pull -q"], check=True, timeout=60)
        subprocess.run([*ssh, give["line"]], input=packed.stdout, check=True, timeout=60)
        assert "greeter" in {entry["service"] for entry in team.deploy("deploy-backend")["services"]}
        assert web.get(customized.url("/greeter")).text == "Good day\n"
        team.deploy("rollback")
        assert web.get(customized.url("/greeter")).text == "Hello\n"
    finally:
        team.first_code()


def test_the_guides_command_is_there_for_whom_it_is_admitted(customized: Platform) -> None:
    told = json.loads(customized.ssh("monitor", "disk-space --json").stdout)
    assert 0 < told["free"] < told["total"]
    assert "MiB are free" in customized.ssh("manager", "ssh-to monitor disk-space").stdout
    assert customized.run("ssh-autopilot", "ssh", "ssh-monitor", "disk-space").returncode == 77


@pytest.mark.slow
def test_each_port_alone_is_another_one_and_all_is_well_finding_p3(
    platform: Platform, tmp_path: Path
) -> None:
    """Each one inside, then outside, the others as they were."""
    extra = tmp_path / "moved.yml"
    try:
        for name, ports in declared_ports().items():
            for number, entry in enumerate(ports):
                for key in ("port", "publish"):
                    if not entry.get(key):
                        continue
                    changed = [{**other} for other in ports]
                    changed[number][key] = moved(ports)[number][key]
                    print(f"{name}: {entry['name']}: {key} {changed[number][key]}", flush=True)
                    extra.write_text(yaml.safe_dump({"all": {"hosts": {name: {"dockfra_ports": changed}}}}))
                    runs.playbook("site.yml", inventories=[INVENTORY, extra], name=f"moved-{name}-{key}").ok()
                    all_well(platform, read_topology(INVENTORY, extra))
    finally:
        runs.playbook("site.yml", name="moved-back").ok()
