"""What is said once in the inventory holds everywhere: a port, a route and what healthy means, in every rendered file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

ROOT = Path(__file__).parents[2]
init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Port  # noqa: E402
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import operator_files  # noqa: E402
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Desired, Platform  # noqa: E402

Services = dict[str, dict[str, Any]]
Load = Callable[..., Platform]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Load the inventory of this project with changes; nothing is made, secrets neither."""

    def platform(changes: Services, only: list[str] | None = None) -> Platform:
        folder = tmp_path_factory.mktemp("inventory")
        extra = folder / "changes.yml"
        own = {"dockfra_state_dir": str(folder / "state")}
        extra.write_text(json.dumps({"all": {"vars": own, "hosts": changes}}))
        loader = DataLoader()
        loader.set_basedir(str(ROOT))
        inventory = InventoryManager(loader, sources=[str(ROOT / "inventories/local"), str(extra)])
        variables = VariableManager(loader, inventory)
        config = {"ansible_config_file": str(ROOT / "ansible.cfg"), "ansible_check_mode": True}
        variables._options_vars = {**variables._options_vars, **config}
        hostvars = HostVars(inventory, variables, loader)
        hosts = [host.name for host in inventory.get_hosts("all")]
        templar = Templar(loader, variables={"hostvars": hostvars, **config})
        return Platform(templar, loader, hostvars, hosts, only)

    return platform


def entries(
    ports: dict[str, tuple[Port, int, int | None]], variables: dict[str, Any]
) -> list[dict[str, Any]]:
    """The entries of dockfra_ports with other numbers."""
    return [
        {
            **entry,
            "port": ports[entry["name"]][1],
            **({"publish": ports[entry["name"]][2]} if entry.get("publish") else {}),
        }
        for entry in variables["dockfra_ports"]
    ]


def plain(desired: Desired) -> str:
    """All that a container and its configuration say, keys and certificates left out."""
    files = (file.content.decode() for file in desired.files.values())
    return "\n".join([json.dumps(desired.container), *(text for text in files if "-----BEGIN" not in text)])


def test_a_port_is_written_in_the_inventory_only_finding_p3(load: Load) -> None:
    """Every port inside and outside is another one, and no service says or asks the number of before."""
    before = load({})
    moved: dict[str, dict[str, tuple[Port, int, int | None]]] = {}
    number = 0
    for service in before.topology.services.values():
        for port in service.ports:
            number += 1
            moved.setdefault(service.name, {})[port.name] = (port, 41000 + number, 31000 + number)
    after = load(
        {name: {"dockfra_ports": entries(ports, before.variables[name])} for name, ports in moved.items()}
    )
    after.check()
    old = {port.number for ports in moved.values() for port, _inside, _outside in ports.values()}
    old |= {
        port.publish for ports in moved.values() for port, _inside, _outside in ports.values() if port.publish
    }
    # Numbers as short as 80 stand for other things too.
    forgotten = re.compile(rf"\b(?:{'|'.join(str(value) for value in sorted(old) if value > 1000)})\b")
    rendered = {name: after.desired(name) for name in after.topology.services}
    for name, desired in rendered.items():
        found = forgotten.search(plain(desired))
        assert found is None, f"{name} still says {found[0]}" if found else ""
        for port, inside, outside in moved[name].values():
            variable = f"DOCKFRA_PORT_{port.name.upper().replace('-', '_')}"
            assert desired.container["env"][variable] == str(inside)
            if port.publish is not None:
                assert f"127.0.0.1:{outside}:{inside}/tcp" in desired.container["published_ports"]
        # Whoever reaches a port has its new number.
        for reach in after.topology.reachable_ports(name):
            assert reach.port == moved[reach.service][reach.name][1]
    routes = rendered["traefik"].files["traefik/routes.yml"].content.decode()
    listens = rendered["traefik"].files["traefik/traefik.yml"].content.decode()
    for name in ("frontend", "backend", "mobile-backend", "desktop-app", "vnc-rpi3"):
        assert f"http://{name}:{moved[name]['http'][1]}" in routes
    assert f'to: ":{moved["traefik"]["https"][2]}"' in listens
    for port, inside, _outside in moved["traefik"].values():
        assert f"traefik.proxy-net:{inside}" in listens, port.name


def test_the_login_message_is_the_roles_whatever_the_service_is_called(load: Load) -> None:
    second = {
        "dockfra_description": "Bastion of the backend",
        "dockfra_role": "ssh_backend",
        "dockfra_user": "deployer",
        "dockfra_uid": 10015,
        "dockfra_shared_uid": True,
        "dockfra_networks": ["ssh-net", "backend-net"],
        "dockfra_ports": [{"name": "ssh", "port": 2222, "networks": ["ssh-net"]}],
        "dockfra_ssh_logins": ["monitor"],
    }
    platform = load({"second-bastion": second})

    def message(service: str) -> str:
        return platform.desired(service).files["ssh/motd"].content.decode()

    assert len(message("ssh-backend").splitlines()) > 1
    assert message("second-bastion") == message("ssh-backend").replace("ssh-backend", "second-bastion")


def test_a_routed_service_needs_no_group_finding_p4(load: Load) -> None:
    platform = load(
        {
            "hello": {
                "dockfra_description": "Greeting",
                "dockfra_user": "hello",
                "dockfra_uid": 10030,
                "dockfra_networks": ["proxy-net"],
                "dockfra_ports": [{"name": "http", "port": 8090}],
                "dockfra_routes": [{"path": "/hello"}],
                "dockfra_image": "hello:1",
            }
        }
    )
    platform.check()
    routes = yaml.safe_load(platform.desired("traefik").files["traefik/routes.yml"].content)["http"]
    assert routes["routers"]["hello"]["rule"] == "Path(`/hello`) || PathPrefix(`/hello/`)"
    assert routes["services"]["hello"]["loadBalancer"]["servers"] == [{"url": "http://hello:8090"}]
    targets = json.loads(platform.desired("ssh-monitor").files["monitor/targets.json"].content)
    assert [route["path"] for route in targets["routes"] if route["service"] == "hello"] == ["/hello"]


@pytest.mark.parametrize(
    ("health", "path", "below"),
    [
        ({"path": "/ready"}, "/ready", 400),
        ({"path": "/ready", "command": ["true"]}, "/ready", 400),
        (["curl", "--fail", "http://127.0.0.1:3000/"], "/", 500),
        ([], "/", 500),
    ],
)
def test_all_ask_for_health_as_the_entry_says_finding_u4(
    load: Load, health: Any, path: str, below: int
) -> None:
    platform = load({"backend": {"dockfra_health": health}})
    platform.check()

    def asked(service: str, file: str, key: str) -> set[tuple[str, int]]:
        targets = json.loads(platform.desired(service).files[file].content)[key]
        return {(target["path"], target["below"]) for target in targets if target["service"] == "backend"}

    assert asked("ssh-monitor", "monitor/targets.json", "targets") == {(path, below)}
    assert asked("ssh-developer", "developer.json", "services") == {(path, below)}
    published = platform.topology.published_ports("backend")
    assert {(port.path, port.below) for port in published} == {(path, below)}
    container = platform.desired("backend").container
    assert container["env"]["DOCKFRA_HEALTH_PATH"] == path
    command = health if isinstance(health, list) else health.get("command", ["/usr/local/bin/healthcheck"])
    assert container.get("healthcheck", {}).get("test", ["CMD"])[1:] == command


def web_page(platform: Platform) -> dict[str, Any]:
    """What the web page is told."""
    told: dict[str, Any] = json.loads(platform.desired("frontend").files["frontend.json"].content)
    return told


def test_finding_u14_the_page_knows_the_ways_in_from_the_topology(load: Load) -> None:
    before = load({})
    logins = web_page(before)["logins"]
    assert [login["role"] for login in logins] == ["manager", "autopilot", "monitor", "developer"]
    # Nothing more than user and port, and what it is for.
    assert {key for login in logins for key in login} == {"role", "description", "user", "port", "local_only"}
    for login in logins:
        service = before.topology.services[f"ssh-{login['role']}"]
        assert (login["user"], login["port"]) == (service.user, service.port("ssh").publish)
        assert login["local_only"] is True
    ssh = {"name": "ssh", "port": 2222, "publish": 7022}
    moved = load(
        {
            "ssh-manager": {"dockfra_ports": [ssh], "dockfra_publish_address": "192.0.2.7"},
            "ssh-autopilot": {"dockfra_ports": [{"name": "ssh", "port": 2222}]},
        }
    )
    after = {login["role"]: login for login in web_page(moved)["logins"]}
    assert set(after) == {"manager", "monitor", "developer"}, "what is not published is no way in"
    assert (after["manager"]["port"], after["manager"]["local_only"]) == (7022, False)


def test_finding_u14_the_backend_knows_all_services_by_their_stack(load: Load) -> None:
    platform = load({"git": {"dockfra_stack": ""}})
    told = json.loads(platform.desired("backend").files["backend.json"].content)
    assert told["name"] == "backend"
    assert [stack["name"] for stack in told["stacks"]] == ["Management", "Application", "Helpers", ""]
    assert [member["name"] for member in told["stacks"][-1]["services"]] == ["git"]
    listed = [member["name"] for stack in told["stacks"] for member in stack["services"]]
    assert sorted(listed) == sorted(platform.topology.services)


@pytest.mark.parametrize(("name", "file"), [("frontend", "frontend.json"), ("backend", "backend.json")])
def test_finding_u14_a_run_for_one_service_tells_it_the_same(load: Load, name: str, file: str) -> None:
    """The neighbours are known without their roles' defaults then; a difference would make the container anew."""
    told = [json.loads(load({}, only).desired(name).files[file].content) for only in (None, [name])]
    for key in ("stacks", "logins"):
        assert told[0].get(key) == told[1].get(key)


def test_finding_u14_where_a_service_does_not_answer_the_page_says_so(load: Load) -> None:
    """All but the service that has the page; what strips the path goes on doing it."""

    def routes(changes: Services) -> dict[str, Any]:
        text = load(changes).desired("traefik").files["traefik/routes.yml"].content
        found: dict[str, Any] = yaml.safe_load(text)["http"]
        return found

    http = routes({})
    middlewares = {name: router.get("middlewares", []) for name, router in http["routers"].items()}
    assert middlewares.pop("dashboard")
    assert middlewares == {
        "frontend": [],
        "backend": ["error-page"],
        "desktop-app": ["error-page"],
        "mobile-backend": ["error-page", "strip-mobile-backend"],
        "vnc-rpi3": ["error-page", "strip-vnc-rpi3"],
    }
    page = http["middlewares"]["error-page"]["errors"]
    assert (page["service"], set(page["status"])) == ("frontend", {"502", "504"})
    assert (ROOT / "app/frontend/site" / page["query"].removeprefix("/")).is_file()
    others: list[Services] = [
        {"frontend": {"dockfra_routes": []}},
        {"traefik": {"traefik_error_page_service": ""}},
    ]
    for changes in others:
        without = routes(changes)
        assert "error-page" not in without["middlewares"]
        assert without["routers"]["backend"].get("middlewares", []) == []


def reach(platform: Platform) -> list[str]:
    """What the access map says of who reaches the published ports."""
    shown = operator_files.render(platform)[operator_files.ACCESS_MAP]
    return [line for line in shown.splitlines() if line.startswith("Reach")]


def test_finding_u10_the_access_map_says_who_reaches_the_ports(load: Load) -> None:
    everywhere = {"dockfra_publish_address": "0.0.0.0"}
    [line] = reach(load({}))
    assert "on the Docker host itself only" in line
    # Where it says to look there is the chapter it names.
    named = re.search(r'(docs/[a-z]+\.md), "([^"]+)"', line)
    assert named
    assert f"\n## {named[2]}\n" in (ROOT / named[1]).read_text()
    [line] = reach(load({"ssh-manager": everywhere, "db": {"dockfra_publish_address": "192.0.2.7"}}))
    assert line.split(": ")[1] == "ssh-manager, db; the others on the Docker host itself only"
    topology = load({}).topology
    published = [name for name in topology.services if topology.published_ports(name)]
    assert reach(load(dict.fromkeys(published, everywhere))) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_finding_u10_any_loopback_address_is_local(load: Load, address: str) -> None:
    changes = {name: {"dockfra_publish_address": address} for name in load({}).topology.services}
    [line] = reach(load(changes))
    assert "on the Docker host itself only" in line


def test_the_way_to_docker_comes_from_the_topology(load: Load) -> None:
    moved = load({"docker-gateway": {"dockfra_ports": [{"name": "http", "port": 41999}]}})
    moved.check()
    [engine] = json.loads(moved.desired("ssh-monitor").files["monitor/docker.json"].content)
    assert (engine["gateway"], engine["host"], engine["port"]) == ("docker-gateway", "docker-gateway", 41999)
    assert engine["containers"]["backend"] == "dockfra-backend"
    assert set(engine["containers"]) == {service.name for service in moved.topology.containers()}
    files = moved.desired("docker-gateway").files
    assert json.loads(files["docker-gateway/settings.json"].content) == {
        "project": "dockfra",
        "socket": "/run/docker.sock",
        "listen": [{"host": "docker-gateway.docker-net", "port": 41999}],
        "stream_seconds": 43200,
    }
    assert files["docker-gateway/listen"].content.split() == [b"docker-gateway.docker-net"]


def test_one_service_of_a_docker_host_has_its_socket_and_the_monitor_alone_reaches_it(load: Load) -> None:
    topology = load({}).topology
    having = [service for service in topology.containers() if service.docker_sockets]
    assert [service.name for service in having] == ["docker-gateway"]
    edges = {edge.caller for edge in topology.edges() if edge.listener == "docker-gateway"}
    assert edges == {"ssh-monitor"}
    assert {edge for edge in topology.edges() if edge.caller == "docker-gateway"} == set()
    assert topology.networks["docker-net"].internal


def test_the_bastions_keep_the_releases_of_their_services(load: Load) -> None:
    platform = load({})
    platform.check()
    kept = {"ssh-frontend": ["frontend"], "ssh-backend": ["backend", "mobile-backend"]}
    for bastion, services in kept.items():
        desired = platform.desired(bastion)
        assert dict(desired.images[-1].arguments)["SERVICE_RELEASES"] == " ".join(services)
        mounts = {mount["target"]: mount for mount in desired.container["mounts"]}
        for service in services:
            theirs = {mount["target"]: mount for mount in platform.desired(service).container["mounts"]}
            for place, writer, reader in (("releases", mounts, theirs), ("state", theirs, mounts)):
                path = f"/srv/{place}/{service}"
                assert writer[path]["source"] == reader[path]["source"] == f"dockfra-{service}-{place}"
                assert (writer[path]["read_only"], reader[path]["read_only"]) == (False, True)
                # A reader that comes first must not make the volume its own.
                assert ("no_copy" in writer[path], reader[path]["no_copy"]) == (False, True)
    others = set(platform.topology.services) - set(kept)
    assert not any("SERVICE_RELEASES" in dict(platform.desired(name).images[-1].arguments) for name in others)


def test_the_monitor_knows_where_deploys_are_told_if_somebody_lists_them(load: Load) -> None:
    platform = load({})
    files = platform.desired("ssh-monitor").files
    place = json.loads(files["monitor/deployments.json"].content)
    token = json.loads(platform.desired("backend").files["backend.json"].content)["deployments_token"]
    assert place == {
        "service": "backend",
        "host": place["host"],
        "port": 8081,
        "path": "/api/deployments",
        "token": token,
    }
    assert place["host"].startswith("backend")
    for name in ("", "db", "no-such-service", "ssh-backend"):
        given = {"ssh-monitor": {"ssh_monitor_deployments_service": name}}
        assert "monitor/deployments.json" not in load(given).desired("ssh-monitor").files


def test_the_monitors_key_opens_a_shell_at_a_bastion_and_the_gate_for_its_commands(load: Load) -> None:
    platform = load({})
    keys = platform.desired("ssh-backend").files["ssh/authorized_keys"].content.decode().splitlines()
    [line] = [line for line in keys if line.startswith("restrict")]
    verbs = "release-receive release-switch release-hold release-status release-prune"
    assert line.startswith(
        f'restrict,pty,command="/usr/local/bin/gate-or-shell monitor {verbs}" ssh-ed25519 '
    )
    [plain] = [
        line
        for line in platform.desired("ssh-rpi3").files["ssh/authorized_keys"].content.decode().splitlines()
        if line.startswith("restrict")
    ]
    assert plain.startswith("restrict,pty ssh-ed25519 ")
