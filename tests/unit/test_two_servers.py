"""The platform on two servers: what crosses between them, what is refused, and one that does not answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.module_utils.files.tree import WantedFile
from ansible_collections.dockfra.core.plugins.module_utils.topology.link import Forward
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import operator_files, planner, rotation
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.desired import Platform
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from tests.unit.platforms import ROOT, load_platform
from tests.unit.two_servers import APP, HOST_KEY, MANAGEMENT, inventory, platform


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return platform(tmp_path_factory.mktemp("two"))


def test_the_platform_on_two_servers_is_sound(two: Platform) -> None:
    two.check()
    hosts = {service.name: service.docker_host for service in two.topology.services.values()}
    assert {name for name, host in hosts.items() if host == MANAGEMENT} == {
        *("ssh-manager", "ssh-autopilot", "ssh-monitor", "git", "docker-gateway", "builder", "tester"),
        *("package-proxy", "tunnel"),
    }


def test_everybody_reaches_by_the_same_names_and_ports_what_he_reaches_on_one_host(
    two: Platform, tmp_path: Path
) -> None:
    changes = tmp_path / "changes.json"
    changes.write_text(json.dumps({"all": {"vars": {"dockfra_state_dir": str(tmp_path)}}}))
    one = load_platform(changes)
    for name in one.topology.services:
        # The plain name is right everywhere, also where one host needs to say on which network.
        there = {(reach.service, reach.port): reach for reach in two.topology.reachable_ports(name)}
        for reach in one.topology.reachable_ports(name):
            # Two gateways of engines have nothing to do with each other.
            assert there[reach.service, reach.port].host in (reach.service, reach.host)
        assert {service for service, _port in there} - set(one.topology.services) <= {
            *("tunnel", "tunnel-app", "docker-gateway-app"),
            name,
        }


def test_whoever_calls_across_is_on_a_network_with_the_tunnel_that_bears_the_name(two: Platform) -> None:
    topology = two.topology
    for edge in topology.crossing_edges():
        (crossing,) = (
            each
            for each in topology.crossings
            if each.service == edge.listener and edge.caller in each.callers
        )
        caller, listener = topology.services[edge.caller], topology.services[edge.listener]
        tunnel = topology.tunnels[caller.docker_host]
        assert crossing.network in caller.networks
        assert crossing.network in tunnel.networks
        assert listener.name in topology.aliases(tunnel, crossing.network)
        assert listener.name not in topology.aliases(caller, crossing.network)
        assert edge.port in [number for number, _network in crossing.ports]
        # Nobody else is there, and nothing gets out of it.
        members = {
            service.name for service in topology.services.values() if crossing.network in service.networks
        }
        assert members == {*crossing.callers, tunnel.name}
        assert topology.networks[crossing.network].internal
        # At the other end the tunnel sits where the service listens.
        far = topology.tunnels[listener.docker_host]
        assert {network for _number, network in crossing.ports} <= set(far.networks)


def test_the_link_forwards_each_crossing_and_nothing_else(two: Platform) -> None:
    topology = two.topology
    (link,) = topology.links("tunnel")
    assert topology.links("tunnel-app") == []
    assert topology.accepted_links("tunnel-app") == {"tunnel": link}
    assert (link.server.address, link.server.port, link.address, link.port) == (
        "192.0.2.20",
        2022,
        "127.0.0.1",
        2225,
    )
    wanted = {(edge.listener, edge.port) for edge in topology.crossing_edges()}
    logs = Forward("tunnel-app", "127.0.0.1", 2302, "127.0.0.1", 2300)
    carried = [forward for forward in (*link.local, *link.remote) if forward != logs]
    assert logs in link.local
    assert {(forward.service, forward.port) for forward in carried} == wanted
    assert ("ssh-manager", "tunnel-app.to-ssh-manager", "ssh-manager.shared-net") in {
        (forward.service, forward.listen, forward.host) for forward in link.remote
    }
    assert ("db", "tunnel.to-db", 5432, "db.backend-net", 5432) in {
        (forward.service, forward.listen, forward.port, forward.host, forward.target)
        for forward in link.local
    }


def test_every_file_of_every_service_is_made_on_two_servers_too(two: Platform) -> None:
    for name in two.topology.services:
        assert two.desired(name).container["name"] == f"dockfra-{name}"
    monitor = two.desired("ssh-monitor").files
    engines = json.loads(monitor["monitor/docker.json"].content)
    assert [engine["docker_host"] for engine in engines] == [MANAGEMENT, APP]
    logs = json.loads(monitor["gate/elsewhere.json"].content)["logs"]
    one, other = two.desired("tunnel").files, two.desired("tunnel-app").files
    assert json.loads(one["link/links.json"].content) == ["tunnel-app"]
    assert json.loads(one["link/collected_logs.json"].content) == {"tunnel-app": {"port": 2302, "logs": logs}}
    assert json.loads(other["link/served_logs.json"].content) == {"port": 2300, "logs": logs}
    assert {"link/links.json", "link/collected_logs.json"}.isdisjoint(other)
    for files in (one, other, two.desired("ssh-developer").files):
        assert "gate/elsewhere.json" not in files


def test_the_account_of_the_link_opens_the_way_to_the_tunnel_alone(two: Platform) -> None:
    account = two.link_account(APP)
    assert (account["user"], account["home"]) == ("dockfra-link", "/var/lib/dockfra/dockfra/link")
    assert account["authorized_keys"].startswith(
        'restrict,port-forwarding,permitopen="127.0.0.1:2225",permitlisten="localhost:1",command="/bin/false" ssh-ed25519 '
    )
    assert two.link_account(MANAGEMENT) == {}


def test_the_account_is_planned_until_its_file_is_what_it_should_be(two: Platform) -> None:
    account = two.link_account(APP)
    found = WantedFile(account["authorized_keys"].encode(), 0o644).fingerprint()
    state: dict[str, Any] = {"containers": {}, "networks": {}, "volumes": [], "images": {}, "files": {}}
    assert account["home"] in planner.query(two, {}, APP)["directories"]
    assert planner.compare(two, {}, APP, state, limited=True).link_account == account
    assert account["sshd_directory"] == "/etc/ssh/sshd_config.d"
    assert account["sshd_directory"] in planner.query(two, {}, APP)["directories"]
    kept = {"dockfra-link.conf": WantedFile(account["sshd_config"].encode(), 0o644).fingerprint()}
    keys = {".ssh/authorized_keys": found}
    # Each of the two has to be there.
    for files in ({account["home"]: keys}, {account["sshd_directory"]: kept}):
        state["files"] = files
        assert planner.compare(two, {}, APP, state, limited=True).link_account == account
    state["files"] = {account["home"]: keys, account["sshd_directory"]: kept}
    assert planner.compare(two, {}, APP, state, limited=True).link_account == {}


def test_the_keys_of_the_link_are_proved_over_it(two: Platform) -> None:
    known = rotation.known(two)
    assert {"keys/tunnel", "host_keys/tunnel", "host_keys/tunnel-app"} <= set(known)
    key = rotation.proof(two.topology, "keys/tunnel")
    assert (key.container, key.docker_host, key.peers) == ("dockfra-tunnel", MANAGEMENT, ("tunnel-app",))
    host_key = rotation.proof(two.topology, "host_keys/tunnel-app")
    assert (host_key.container, host_key.docker_host) == ("dockfra-tunnel-app", APP)
    assert set(host_key.callers) == {("dockfra-tunnel", MANAGEMENT)}
    for name in known:
        found = rotation.proof(two.topology, name)
        # What nobody tries proves nothing.
        assert found.kind == "login" or found.peers or found.ways, name
        if found.kind == "host_key":
            assert found.callers, name


def test_one_who_calls_across_loses_no_way_out_and_no_published_port(two: Platform) -> None:
    topology = two.topology
    for service in topology.services.values():
        gateway = topology.gateway_network(topology.declared[service.name])
        assert (topology.gateway_network(service) is None) == (gateway is None), service.name
    assert "packages-net" in topology.services["package-proxy"].networks
    assert "ssh-net" not in topology.services["ssh-monitor"].networks


def test_tickets_and_logs_have_one_place(two: Platform) -> None:
    topology = two.topology
    assert "tickets" not in [volume.name for volume in topology.volumes("ssh-developer")]
    assert {volume.name: writer for volume, writer in topology.far_volumes("ssh-developer").items()} == {
        "tickets": "ssh-manager"
    }
    far = ["ssh-backend", "ssh-developer", "ssh-frontend", "ssh-rpi3"]
    assert topology.collected_logs("tunnel") == {"tunnel-app": far}
    assert topology.served_logs("tunnel-app") == far
    assert topology.served_logs("tunnel") == topology.served_logs("ssh-developer") == []
    assert topology.audit_logs("tunnel") == ["tunnel"]
    assert topology.audit_logs("ssh-manager") == topology.audit_logs("ssh-monitor")
    assert set(topology.audit_logs("ssh-monitor")) == {service.name for service in topology.audited()}
    mounted = {
        name: {volume.name: volume.read_only for volume in topology.volumes(name)}
        for name in topology.services
    }
    assert {
        name: volumes["audit-elsewhere"] for name, volumes in mounted.items() if "audit-elsewhere" in volumes
    } == {
        "ssh-manager": True,
        "ssh-monitor": True,
        "tunnel": False,
    }


def test_a_role_writes_no_log_but_its_own(two: Platform) -> None:
    topology = two.topology
    for role in topology.roles():
        name = topology.places()[role]
        assert {
            volume.name
            for volume in topology.volumes(name)
            if volume.name.startswith("audit") and not volume.read_only
        } <= {f"audit-{name}", "audit-copies"}
    # Nobody gets a shell where the mirrors are written, or can ask where they come from but the link.
    assert (topology.gate_callers("tunnel"), topology.gate_callers("tunnel-app")) == (["monitor"], [])
    (line,) = two.desired("tunnel").files["ssh/authorized_keys"].content.decode().splitlines()
    assert line.startswith('restrict,command="/usr/local/bin/gate monitor" ')
    (line,) = two.desired("tunnel-app").files["ssh/authorized_keys"].content.decode().splitlines()
    assert 'permitopen="127.0.0.1:2300",' in line
    assert line.count('permitopen="127.0.0.1:') == 1


def test_logs_are_mirrored_in_both_directions_where_both_sides_read_them(tmp_path: Path) -> None:
    reads = {"dockfra_reads_audit": True}
    found = platform(tmp_path, {"tunnel": reads, "ssh-developer": reads})
    found.check()
    topology = found.topology
    (link,) = topology.links("tunnel")
    back = Forward("tunnel", "127.0.0.1", 2301, "127.0.0.1", 2300)
    assert (link.local[-1].service, link.remote[-1]) == ("tunnel-app", back)
    assert set(topology.audit_logs("ssh-developer")) == {service.name for service in topology.audited()}
    # What a tunnel has of another one it sends to nobody.
    assert topology.collected_logs("tunnel-app") == {"tunnel": topology.served_logs("tunnel")}
    assert set(topology.audit_logs("tunnel")) == set(topology.served_logs("tunnel"))
    permits = found.desired("tunnel-app").files["ssh/authorized_keys"].content.decode()
    assert 'permitlisten="127.0.0.1:2301",' in permits
    volumes = {volume.name: volume.read_only for volume in topology.volumes("tunnel-app")}
    assert volumes["audit-elsewhere"] is False


def test_logs_that_no_tunnel_brings_are_missed(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as refused:
        platform(tmp_path, {"tunnel-app": {"dockfra_reads_audit": False}}).check()
    assert any(
        "ssh-monitor: runs on management-server and cannot read the audit log of ssh-developer on app-server"
        in problem
        for problem in refused.value.problems
    )


def test_a_real_device_is_reached_over_the_link_of_the_server_it_is_near(tmp_path: Path) -> None:
    device = {"dockfra_address": "198.51.100.7", "dockfra_ssh_port": 2022, "dockfra_host_key": HOST_KEY}
    topology = platform(tmp_path, {"rpi3": device}).topology
    reach = {port.service: port for port in topology.reachable_ports("ssh-monitor")}["rpi3"]
    assert (reach.host, reach.port) == ("rpi3", 2222)
    (forward,) = (each for each in topology.links("tunnel")[0].local if each.service == "rpi3")
    assert (forward.host, forward.target) == ("198.51.100.7", 2022)
    assert {port.host for port in topology.reachable_ports("ssh-rpi3") if port.service == "rpi3"} == {
        "198.51.100.7"
    }


def test_what_no_link_carries_is_refused_with_both_ends(tmp_path: Path) -> None:
    found = platform(tmp_path, {"redis": {"dockfra_docker_host": "third-server"}})
    with pytest.raises(TopologyError) as refused:
        found.check()
    assert any(
        problem.startswith(
            "backend: runs on app-server and cannot reach redis on third-server, because backend-net does not span Docker hosts "
            "and no link joins the two;"
        )
        for problem in refused.value.problems
    ), refused.value.problems


def blocks(config: str) -> dict[str, str]:
    """What a client's configuration says of each name first, which is what counts."""
    found: dict[str, str] = {}
    for names, text in re.findall(r"^Host ([^\n]+)\n((?: +.*\n)+)", config, re.MULTILINE):
        for name in names.split():
            found.setdefault(name, text)
    return found


def test_people_reach_every_container_over_its_server(two: Platform) -> None:
    files = operator_files.render(two)
    by_name = blocks(files["ssh_config"])
    for name, server in (("ssh-manager", MANAGEMENT), ("ssh-developer", APP)):
        assert f"ProxyJump dockfra-{server}\n" in by_name[name]
        assert "HostName 127.0.0.1\n" in by_name[name]
    assert "HostName 192.0.2.20\n    Port 2022\n    User admin\n" in by_name[f"dockfra-{APP}"]
    assert f"HostKeyAlias {APP}\n" in by_name[f"dockfra-{APP}"]
    assert "HostKeyAlias" not in by_name[f"dockfra-{MANAGEMENT}"]
    assert "StrictHostKeyChecking yes" in by_name[f"dockfra-{MANAGEMENT}"]
    assert f"\n{APP} ssh-ed25519 AAAA" in files["known_hosts"]
    assert "Code, tests and git (on app-server)\n" in files["access.txt"]


def test_a_container_that_answers_others_is_reached_directly(tmp_path: Path) -> None:
    open_to_all = {"dockfra_publish_address": "0.0.0.0"}
    files = operator_files.render(platform(tmp_path, {"ssh-developer": open_to_all}))
    text = blocks(files["ssh_config"])["ssh-developer"]
    assert "HostName 192.0.2.20\n" in text
    assert "ProxyJump" not in text
    assert "ssh-developer,[192.0.2.20]:2200 ssh-ed25519" in files["known_hosts"]


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/verify.yml", "playbooks/teardown.yml"])
def test_a_server_that_does_not_answer_is_named_and_the_other_left_alone(
    playbook: str, tmp_path: Path
) -> None:
    """Nothing is locked, so the next run waits for nobody."""
    data = tmp_path / "data"
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    away = {"ansible_host": "127.0.0.1", "ansible_port": free_port(), "ansible_connection": "ssh"}
    made = inventory(
        tmp_path,
        {MANAGEMENT: here, APP: away},
        dockfra_project="dockfra-nowhere",
        dockfra_data_root=str(data),
    )
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(ROOT / playbook), "-i", str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert f"{APP} cannot be reached: " in done.stdout, done.stdout
    assert "Nothing was changed on any server." in done.stdout
    assert not data.exists()
