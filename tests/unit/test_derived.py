"""What is said once in the inventory holds everywhere: a port, a route and what healthy means, in every rendered file."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.autopilot.inventory import Inventory
from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.module_utils.topology.ports import Port
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import operator_files
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Desired, Platform
from ansible_collections.dockfra.core.tests.unit import piloting
from tests.unit.platforms import ROOT, load_platform, platforms_of

Services = dict[str, dict[str, Any]]
Load = Callable[..., Platform]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Load the inventory of this project with changes; nothing is made, secrets neither."""

    read: dict[str, Callable[[list[str] | None], Platform]] = {}

    def platform(changes: Services, only: list[str] | None = None) -> Platform:
        text = json.dumps(changes)
        if text not in read:
            folder = tmp_path_factory.mktemp("inventory")
            extra = folder / "changes.yml"
            own = {"dockfra_state_dir": str(folder / "state")}
            extra.write_text(json.dumps({"all": {"vars": own, "hosts": changes}}))
            read[text] = platforms_of(extra)
        return read[text](only)

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


def test_an_address_of_one_port_concerns_its_container_alone(tmp_path: Path) -> None:
    changes = tmp_path / "changes.yml"
    own = {"dockfra_state_dir": str(tmp_path / "state")}
    traefik: dict[str, Any] = {}
    changes.write_text(json.dumps({"all": {"vars": own, "hosts": {"traefik": traefik}}}))
    before = load_platform(changes, keep=True)
    labels = {name: before.desired(name).container["labels"] for name in before.topology.services}
    traefik["dockfra_publish_addresses"] = {"https": "0.0.0.0", "http": "::"}
    changes.write_text(json.dumps({"all": {"vars": own, "hosts": {"traefik": traefik}}}))
    after = load_platform(changes, keep=True)
    after.check()
    assert after.desired("traefik").container["published_ports"] == [
        "[::]:80:80/tcp",
        "0.0.0.0:443:443/tcp",
        "127.0.0.1:8080:8080/tcp",
    ]
    changed = [name for name in labels if after.desired(name).container["labels"] != labels[name]]
    assert changed == ["traefik"]
    # Who asks on the Docker host itself asks an address, not all of them.
    asked = {port.name: port.host for port in after.topology.published_ports("traefik")}
    assert asked == {"http": "::1", "https": "127.0.0.1", "http-dashboard": "127.0.0.1"}
    [line] = reach(after)
    assert line.split(": ")[1] == "traefik (http, https); the others on the Docker host itself only"


def test_an_ssh_port_has_its_own_address_in_the_operators_files(load: Load) -> None:
    files = operator_files.render(load({"ssh-manager": {"dockfra_publish_addresses": {"ssh": "192.0.2.7"}}}))
    hosts = dict(re.findall(r"^Host (\S+).*\n +HostName (\S+)$", files["ssh_config"], re.MULTILINE))
    assert (hosts["ssh-manager"], hosts["ssh-monitor"]) == ("192.0.2.7", "127.0.0.1")
    [known] = [line for line in files["known_hosts"].splitlines() if line.startswith("ssh-manager,")]
    assert "[192.0.2.7]:2202 " in known


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
        "frontend": ["repeat"],
        "backend": ["error-page", "repeat"],
        "desktop-app": ["error-page", "repeat"],
        "mobile-backend": ["error-page", "repeat", "strip-mobile-backend"],
        "vnc-rpi3": ["error-page", "repeat", "strip-vnc-rpi3"],
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
        assert without["routers"]["backend"]["middlewares"] == ["repeat"]


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
    kept = {
        "ssh-frontend": ["frontend"],
        "ssh-backend": ["backend", "mobile-backend"],
        "ssh-rpi3": ["desktop-app"],
    }
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
        "history_path": "/api/history",
        "token": token,
    }
    assert place["host"].startswith("backend")
    for name in ("", "db", "no-such-service", "ssh-backend"):
        given = {"ssh-monitor": {"ssh_monitor_deployments_service": name}}
        assert "monitor/deployments.json" not in load(given).desired("ssh-monitor").files


def test_a_device_is_prepared_by_a_role_whose_variables_are_known_beside_its_own(load: Load) -> None:
    load({"rpi3": {"rpi3_device_free": "1g"}}).check()
    with pytest.raises(TopologyError, match="'rpi3_device_fre' is unknown; did you mean 'rpi3_device_free'"):
        load({"rpi3": {"rpi3_device_fre": "1g"}})
    with pytest.raises(TopologyError, match="'rpi3_modell' is unknown; did you mean 'rpi3_model'"):
        load({"rpi3": {"rpi3_modell": "4"}})


def lines_of(platform: Platform, service: str) -> list[str]:
    """The keys that a service's SSH server admits, each with what it may do."""
    text = platform.render(service)["ssh/authorized_keys"].content.decode()
    return [line for line in text.splitlines() if line.startswith("restrict")]


def test_the_monitors_key_opens_a_shell_at_a_bastion_and_the_gate_for_its_commands(load: Load) -> None:
    platform = load({})
    [line] = lines_of(platform, "ssh-backend")
    verbs = "release-receive release-switch release-hold release-status release-prune"
    assert line.startswith(
        f'restrict,pty,command="/usr/local/bin/gate-or-shell monitor {verbs}" ssh-ed25519 '
    )
    line, _operator = lines_of(platform, "ssh-rpi3")
    verbs += " device-receive device-switch device-status"
    assert line.startswith(
        f'restrict,pty,command="/usr/local/bin/gate-or-shell monitor {verbs}" ssh-ed25519 '
    )


def test_the_operators_key_gets_through_to_the_devices_and_to_nothing_else(load: Load) -> None:
    kiosk = {
        "dockfra_description": "Kiosk",
        "dockfra_role": "rpi3",
        "dockfra_user": "pi",
        "dockfra_uid": 10031,
        "dockfra_networks": ["rpi3-net"],
        "dockfra_ports": [{"name": "ssh", "port": 2222}],
        "dockfra_ssh_logins": ["ssh-rpi3", "operator"],
        "dockfra_device": {"runs": "desktop-app"},
        "dockfra_address": "192.0.2.7",
        "dockfra_ssh_port": 2022,
        "dockfra_ssh_user": "kiosk",
        "dockfra_host_key": "ssh-ed25519 " + "A" * 68,
    }
    platform = load({"kiosk-7": kiosk})
    platform.check()
    [monitor, operator] = lines_of(platform, "ssh-rpi3")
    assert "port-forwarding" not in monitor
    places = ("192.0.2.7:2022", "rpi3:2222")
    opens = "".join(f'permitopen="{place}",' for place in places)
    assert operator.startswith(f"restrict,port-forwarding,{opens}command=\"echo 'denied: ")
    server = platform.render("ssh-rpi3")["ssh/sshd_config"].content.decode().splitlines()
    assert f"PermitOpen {' '.join(places)}" in server
    assert "AllowTcpForwarding local" in server
    assert "UnusedConnectionTimeout 10s" in server
    # Nothing changes for the other bastions, and on the devices nobody but the operator and the bastion logs in.
    for name in ("ssh-frontend", "ssh-backend"):
        assert "AllowTcpForwarding no" in platform.render(name)["ssh/sshd_config"].content.decode()
        assert not [line for line in lines_of(platform, name) if "port-forwarding" in line]
    assert [line.split(",")[1].split()[0] for line in lines_of(platform, "rpi3")] == [
        "pty",
        "pty",
        "port-forwarding",
    ]


def client(folder: Path, platform: Platform, host: str) -> dict[str, str]:
    """What the SSH client itself makes of the operator's configuration for a host."""
    files = operator_files.render(platform)
    (folder / "ssh_config").write_text(files["ssh_config"])
    command = ["ssh", "-G", "-F", str(folder / "ssh_config"), host]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_the_operators_configuration_leads_to_each_device_with_both_host_keys_pinned(
    load: Load, tmp_path: Path
) -> None:
    real = {
        "dockfra_address": "192.0.2.50",
        "dockfra_ssh_user": "me",
        "dockfra_host_key": "ssh-ed25519 " + "A" * 68 + " root@pi",
    }
    platform = load({"rpi3": real})
    known = operator_files.render(platform)["known_hosts"].splitlines()
    device = client(tmp_path, platform, "rpi3")
    assert (device["hostname"], device["port"], device["user"]) == ("192.0.2.50", "22", "me")
    through = client(tmp_path, platform, device["proxyjump"])
    assert (through["hostname"], through["port"]) == ("127.0.0.1", "2224")
    for hop, alias in ((device, "rpi3"), (through, "ssh-rpi3")):
        assert hop["stricthostkeychecking"] == "true"
        assert hop["globalknownhostsfile"] == "none"
        assert hop["identitiesonly"] == "yes"
        # One key, which is not the one that the monitor's container has.
        assert hop["identityfile"].endswith("/keys/operator/id_ed25519")
        assert hop["hostkeyalias"] == alias
        assert len([line for line in known if re.match(rf"{alias}[, ]", line)]) == 1
    assert f"rpi3 ssh-ed25519 {'A' * 68}" in known
    assert client(tmp_path, platform, "dockfra-rpi3")["proxyjump"] == device["proxyjump"]
    # Where no forward is declared there is no way, and no key that leads anywhere.
    without = load({"ssh-rpi3": {"dockfra_ssh_forwards": {}}})
    without.check()
    assert "operator" not in operator_files.render(without)["ssh_config"]
    assert "AllowTcpForwarding no" in without.render("ssh-rpi3")["ssh/sshd_config"].content.decode()


def test_devices_are_known_to_their_bastion_and_to_who_deploys(load: Load) -> None:
    platform = load({"ssh-rpi3": {"dockfra_device_share": "25%"}})
    own = platform.render("ssh-rpi3")["bastion/devices.json"].content
    assert json.loads(own) == {"rpi3": "desktop-app"}
    assert "bastion/devices.json" not in platform.render("ssh-backend")
    told = json.loads(platform.render("ssh-monitor")["monitor/deploys.json"].content)
    assert told["devices"] == [
        {"device": "rpi3", "service": "desktop-app", "bastion": "ssh-rpi3", "share": "25%"}
    ]
    # The monitor's key is on no device.
    keys = {service.client_key for service in platform.topology.services.values()} - {""}
    assert {key for key in keys if platform.topology.admits("rpi3", key)} == {"ssh-rpi3", "vnc-rpi3"}


def test_the_autopilot_is_told_what_the_topology_has(load: Load) -> None:
    files = load({}).render("ssh-autopilot")
    told = json.loads(files["autopilot/inventory.json"].content)
    found = Inventory.from_variables(told["groups"], told["hosts"])
    assert found == piloting.inventory_of(ROOT)
    assert not [name for name in told["groups"] if name.startswith("dockfra_")]
    more = load({"backend": {"dockfra_needs": ["db"]}}).render("ssh-autopilot")["autopilot/inventory.json"]
    assert json.loads(more.content)["hosts"]["backend"]["dockfra_needs"] == ["db"]


def test_each_service_alone_knows_of_the_others_what_it_knows_among_all(load: Load) -> None:
    """A service is applied alone and compared among all: were a variable of its neighbours left out, it would change for ever."""
    whole = load({})
    for name in whole.topology.services:
        assert load({}, [name]).derived(name) == whole.derived(name), name
