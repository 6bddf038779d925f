"""The firewall of a server, as nftables and the kernel see it: from a third machine only the listed ports answer."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template

from ansible_collections.dockfra.core.tests.unit.support import python_command
from tests.unit import sshds
from tests.unit.platforms import ROOT

ROLE = ROOT / "collections/ansible_collections/dockfra/core/roles/server"
MODULE = "ansible_collections.dockfra.core.plugins.modules.nftables_table"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and nftables need root")

# Listens on all of them until it is killed; IPv6 sockets of Linux take IPv4 too.
LISTEN = """\
import socket, sys
kept = [socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""

# Says which of the places answer.
ASK = """\
import concurrent.futures, json, socket, sys
def answers(place):
    try:
        with socket.create_connection(place, timeout=2):
            return True
    except OSError:
        return False
places = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(answers, map(tuple, places)))))
"""

# Asks for an echo by ICMP, of IPv4 and of IPv6 (the kernel adds its checksum); fails without an answer.
ECHO = """\
import socket, sys
for family, kind, packet in (
    (socket.AF_INET, socket.IPPROTO_ICMP, bytes.fromhex("0800f7fd00010001")),
    (socket.AF_INET6, socket.IPPROTO_ICMPV6, bytes.fromhex("8000000000010001")),
):
    with socket.socket(family, socket.SOCK_RAW, kind) as echo:
        echo.settimeout(5)
        echo.sendto(packet, (sys.argv[1 if family == socket.AF_INET else 2], 0))
        while echo.recv(1500)[20 if family == socket.AF_INET else 0] not in (0, 129):
            pass
"""

SERVER4, SERVER6 = "10.99.0.1", "fd00:99::1"
THIRD4, CONTAINER4 = "10.99.0.2", "172.31.9.2"
# As Docker calls the bridge of a network.
BRIDGE = "br-0123456789ab"
PUBLIC = [80, 443]
# What Docker leads to the container, the last one by somebody's mistake.
LED = [443, 5432]

# What Docker does for ports that are published on all addresses.
DOCKER = "".join(
    f"add rule ip nat prerouting fib daddr type local tcp dport {port} dnat to {CONTAINER4}:{port}\n"
    for port in LED
)


class Network:
    """A server with a container, and a third machine, each a network namespace."""

    def __init__(self, name: str) -> None:
        self.server, self.third, self.container = (f"{name}-{part}" for part in ("server", "third", "box"))

    def make(self) -> None:
        for space in (self.server, self.third, self.container):
            run("ip", "netns", "add", space)
            self.ip(space, "link set lo up")
        self.join(
            self.third, "uplink", [f"{THIRD4}/24", "fd00:99::2/64"], "out", [f"{SERVER4}/24", f"{SERVER6}/64"]
        )
        self.join(self.container, "eth0", [f"{CONTAINER4}/24"], "veth1", [])
        self.ip(self.server, f"link add {BRIDGE} type bridge")
        self.ip(self.server, f"link set veth1 master {BRIDGE}")
        self.ip(self.server, f"addr add 172.31.9.1/24 dev {BRIDGE}")
        self.ip(self.server, f"link set {BRIDGE} up")
        self.ip(self.container, "route add default via 172.31.9.1")
        self.ip(self.third, f"route add 172.31.9.0/24 via {SERVER4}")
        self.inside(self.server, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.nft(
            "table ip nat { chain prerouting { type nat hook prerouting priority dstnat\n}\n}\n" + DOCKER
        )

    def join(self, one: str, inner: str, own: list[str], outer: str, others: list[str]) -> None:
        """Lay a cable from a machine to the server."""
        run(
            "ip",
            "link",
            "add",
            inner,
            "netns",
            one,
            "type",
            "veth",
            "peer",
            "name",
            outer,
            "netns",
            self.server,
        )
        for space, device, addresses in ((one, inner, own), (self.server, outer, others)):
            for address in addresses:
                self.ip(space, f"addr add {address} dev {device} {'nodad' if ':' in address else ''}")
            self.ip(space, f"link set {device} up")

    def remove(self) -> None:
        there = run("ip", "netns", "list").split()
        for space in {self.server, self.third, self.container} & set(there):
            run("ip", "netns", "delete", space)

    def ip(self, space: str, words: str) -> None:
        run("ip", "-n", space, *words.split())

    def nft(self, text: str) -> None:
        self.inside(self.server, "nft", "-f", "-", given=text)

    def inside(self, space: str, *words: str, given: str = "") -> str:
        return run("ip", "netns", "exec", space, *words, given=given)

    @contextlib.contextmanager
    def listening(self, space: str, *ports: int) -> Iterator[None]:
        with subprocess.Popen(
            ["ip", "netns", "exec", space, sys.executable, "-c", LISTEN, *map(str, ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline()
            yield
            process.stdin.close()
            process.wait(timeout=10)

    def reached(self, space: str, *places: tuple[str, int]) -> set[tuple[str, int]]:
        found = json.loads(self.inside(space, sys.executable, "-c", ASK, json.dumps(places)))
        return {place for place, answers in zip(places, found, strict=True) if answers}

    def module(
        self,
        tmp_path: Path,
        rules: str,
        *,
        check: bool = False,
        found: Mapping[str, str | None] | None = None,
        systemd: Path = Path("/nonexistent"),
        **options: Any,
    ) -> dict[str, Any]:
        """Call the module on the server; `found` says where programs are, else they are where this machine has them."""
        arguments = {
            "table": "inet dockfra",
            "path": str(tmp_path / "etc/firewall.nft"),
            "rules": rules,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_tmpdir": str(tmp_path),
            "_ansible_remote_tmp": str(tmp_path),
            **options,
        }
        code = f"""
            from ansible.module_utils import basic
            basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
            basic._ANSIBLE_PROFILE = "legacy"
            import {MODULE} as module
            found, look = {dict(found or {})!r}, basic.AnsibleModule.get_bin_path
            def get_bin_path(self, name, *words, **named):
                return found[name] if name in found else look(self, name, *words, **named)
            basic.AnsibleModule.get_bin_path = get_bin_path
            module._SYSTEMD = module.Path({str(systemd)!r})
            module.main()
            """
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        words = ["ip", "netns", "exec", self.server, *python_command(code)]
        done = subprocess.run(words, input=given, capture_output=True, text=True, cwd="/", check=False)
        assert done.stdout, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def run(*words: str, given: str = "") -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def rules(public: list[int], opened: Sequence[int] = ()) -> str:
    """The role's own rules, with the part of one platform."""
    return f"{rendered('firewall.nft.j2', public)}\n{rendered('part.nft.j2', public, opened)}"


def rendered(template: str, public: list[int], opened: Sequence[int] = ()) -> str:
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(ROLE / "defaults/main.yml")),
        "server_ssh_ports": [22],
        "server_public_ports": public,
        "server_open_ports": list(opened),
    }
    text = (ROLE / "templates" / template).read_text()
    return str(Templar(loader, variables=variables).template(trust_as_template(text)))


@pytest.fixture
def network() -> Iterator[Network]:
    found = Network(f"servers-{os.getpid()}")
    try:
        found.make()
        yield found
    finally:
        found.remove()


def test_from_a_third_machine_only_the_listed_ports_answer(network: Network, tmp_path: Path) -> None:
    asked = [(host, port) for host in (SERVER4, SERVER6) for port in (22, 80, 443, 5432, 9999)]
    asked += [(CONTAINER4, port) for port in (443, 2222, 5432)]
    # An engine that has one process for each published port of IPv6.
    with (
        network.listening(network.server, 22, 80, 443, 9999),
        network.listening(network.container, 443, 2222, 5432),
        network.listening(network.third, 7000),
    ):
        everything = network.reached(network.third, *asked)
        assert everything == set(asked) - {(SERVER6, 5432)}
        assert network.module(tmp_path, rules(PUBLIC))["loaded"] is True
        assert network.reached(network.third, *asked) == {
            (SERVER4, 22),
            (SERVER4, 80),
            (SERVER4, 443),
            (SERVER6, 22),
            (SERVER6, 80),
            (SERVER6, 443),
        }
        # A way out, and the server's own way to its containers and itself.
        assert network.reached(network.container, (THIRD4, 7000))
        inner = {(CONTAINER4, 5432), ("127.0.0.1", 9999), ("::1", 9999)}
        assert network.reached(network.server, *inner) == inner
        network.inside(network.third, sys.executable, "-c", ECHO, SERVER4, SERVER6)
        # Without public ports, SSH alone.
        assert network.module(tmp_path, rules([]))["loaded"] is True
        assert network.reached(network.third, *asked) == {(SERVER4, 22), (SERVER6, 22)}


def test_the_table_is_as_declared_whatever_happened_to_it(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "etc/firewall.nft"
    wanted = rules(PUBLIC)
    looked = network.module(tmp_path, wanted, check=True)
    assert (looked["changed"], looked["diff"]["before"]) == (True, "")
    assert "elements = { 22, 80, 443 }" in looked["diff"]["after"]
    assert not file.exists()
    assert "dockfra" not in network.inside(network.server, "nft", "list", "tables")
    assert network.module(tmp_path, wanted, comment="by whom")["changed"] is True
    assert file.read_text().startswith("# by whom\ntable inet dockfra\ndelete table inet dockfra\n")
    assert network.module(tmp_path, wanted, comment="by whom")["changed"] is False
    # What somebody adds or takes away goes; tables of others stay.
    for change in (
        "add rule inet dockfra input accept",
        "flush chain inet dockfra forward",
        "delete table inet dockfra",
    ):
        network.nft(f"{change}\n")
        found = network.module(tmp_path, wanted, comment="by whom")
        assert (found["loaded"], found["written"]) == (True, False)
    assert "table ip nat" in network.inside(network.server, "nft", "list", "tables")
    # A start of the machine loads the file.
    network.nft("delete table inet dockfra\n")
    network.nft(file.read_text())
    assert network.module(tmp_path, wanted, comment="by whom")["changed"] is False
    assert network.module(tmp_path, "")["loaded"] is True
    assert "dockfra" not in network.inside(network.server, "nft", "list", "tables")
    assert network.module(tmp_path, "")["changed"] is False


def test_rules_that_nft_does_not_take_change_nothing(network: Network, tmp_path: Path) -> None:
    network.module(tmp_path, rules(PUBLIC))
    before = network.inside(network.server, "nft", "list", "ruleset")
    for check in (True, False):
        found = network.module(
            tmp_path, "table inet dockfra {\nchain input {\ntcp dprot 22 accept\n}\n}", check=check
        )
        assert found["failed"] is True
        assert "nft does not take the rules of inet dockfra: " in found["msg"]
        assert "dprot" in found["msg"]
    assert network.inside(network.server, "nft", "list", "ruleset") == before


def test_a_trial_writes_nothing_and_can_be_taken_back(network: Network, tmp_path: Path) -> None:
    file, before = tmp_path / "etc/firewall.nft", tmp_path / "etc/firewall.nft.before"

    def loaded() -> str:
        return network.inside(network.server, "nft", "list", "ruleset")

    nothing = loaded()
    for _again in range(2):  # whoever was stopped is told the same again
        found = network.module(tmp_path, rules(PUBLIC), step="try")
        assert (found["changed"], found["written"], file.exists()) == (True, True, False)
    assert "elements = { 22, 80, 443 }" in loaded()
    # A second trial on top of one that nobody ended: what was before both of them was proved.
    network.module(tmp_path, rules([]), step="try")
    assert network.module(tmp_path, "", step="undo")["changed"] is True
    assert (loaded(), before.exists()) == (nothing, False)
    assert network.module(tmp_path, "", step="undo")["changed"] is False
    network.module(tmp_path, rules(PUBLIC), step="try")
    assert network.module(tmp_path, rules(PUBLIC))["loaded"] is False
    proved, kept = loaded(), file.read_text()
    assert not before.exists()
    network.module(tmp_path, rules([]), step="try")
    assert loaded() != proved
    network.module(tmp_path, "", step="undo")
    assert (loaded(), file.read_text()) == (proved, kept)


def test_systemd_takes_a_trial_back_that_nobody_ends(network: Network, tmp_path: Path) -> None:
    """Stands in for systemd: it writes down what it is asked for."""
    asked = tmp_path / "asked"
    programs = {}
    for name in ("systemd-run", "systemctl"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{asked}\n')
        program.chmod(0o755)
        programs[name] = str(program)
    network.module(tmp_path, rules(PUBLIC))
    proved = network.inside(network.server, "nft", "list", "ruleset")
    here: dict[str, Any] = {"found": programs, "systemd": tmp_path}
    network.module(tmp_path, rules([]), step="try", seconds=30, **here)
    stop = "systemctl stop nftables-undo-inet-dockfra.timer nftables-undo-inet-dockfra.service"
    stopped, run = asked.read_text().splitlines()
    assert stopped == stop
    assert run.startswith("systemd-run --unit=nftables-undo-inet-dockfra --on-active=30 ")
    # What it would do then.
    network.inside(network.server, *run[run.index("/") :].split())
    assert network.inside(network.server, "nft", "list", "ruleset") == proved
    asked.unlink()
    assert network.module(tmp_path, rules([]), **here)["loaded"] is True, "the timer was faster"
    assert asked.read_text().splitlines() == [stop]
    (tmp_path / "systemd-run").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    before = network.inside(network.server, "nft", "list", "ruleset")
    assert "no bus" in network.module(tmp_path, rules(PUBLIC), step="try", **here)["msg"]
    assert network.inside(network.server, "nft", "list", "ruleset") == before


def test_platforms_on_one_server_have_their_parts(network: Network, tmp_path: Path) -> None:
    file, main = tmp_path / "etc/firewall.nft", rendered("firewall.nft.j2", [])
    parts = tmp_path / "etc/firewall.d"

    def bring(name: str, public: list[int], **options: Any) -> dict[str, Any]:
        given = {
            "rules": main,
            "part": name,
            "part_rules": rendered("part.nft.j2", public),
            "comment": name,
            **options,
        }
        return network.module(tmp_path, **given)

    def loaded() -> str:
        return network.inside(network.server, "nft", "list", "ruleset")

    asked = [(SERVER4, port) for port in (22, 80, 8443)]
    with network.listening(network.server, 22, 80, 8443):
        assert bring("one", [80], step="try")["loaded"] is True
        assert not parts.exists()
        assert bring("one", [80])["written"] is True
        assert bring("two", [8443])["changed"] is True
        # Whoever runs last changes nothing of the other, and both find everything as they left it.
        for name, public in (("one", [80]), ("two", [8443])):
            assert bring(name, public)["changed"] is False
        assert network.reached(network.third, *asked) == set(asked)
        # As a start of the machine loads it.
        network.nft("delete table inet dockfra\n")
        network.inside(network.server, "nft", "-f", str(file))
        assert bring("one", [80])["changed"] is False
        # One that wants no firewall leaves that of the other, and what it publishes itself.
        off = bring("one", [80], rules="")
        assert (off["loaded"], off["wanted"]) == (False, True)
        assert bring("one", [80], rules="")["changed"] is False
        assert network.reached(network.third, *asked) == set(asked)
        assert bring("two", [8443])["changed"] is False
        assert network.module(tmp_path, "", part="one", step="leave")["changed"] is True
        assert network.reached(network.third, *asked) == {(SERVER4, 22), (SERVER4, 8443)}
        assert bring("two", [8443])["changed"] is False
        assert network.module(tmp_path, "", part="one", step="leave")["changed"] is False
    assert [path.name for path in parts.iterdir()] == ["two.nft"]
    looked = network.module(tmp_path, "", part="two", step="leave", check=True)
    assert (looked["changed"], "dockfra" in loaded()) == (True, True)
    assert network.module(tmp_path, "", part="two", step="leave")["wanted"] is False
    assert "dockfra" not in loaded()
    assert not file.exists()
    assert list(parts.iterdir()) == []


def test_open_ports_lead_to_containers_as_well(network: Network, tmp_path: Path) -> None:
    places = {(SERVER4, 443), (SERVER4, 5432)}
    with network.listening(network.container, 443, 5432):
        network.module(tmp_path, rules([443]))
        assert network.reached(network.third, *places) == {(SERVER4, 443)}
        network.module(tmp_path, rules([443], opened=[5432]))
        assert network.reached(network.third, *places) == places


def test_without_nftables_there_is_nothing_to_remove(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "etc/firewall.nft"
    absent = {"nft": None}
    assert network.module(tmp_path, "", check=True, found=absent)["changed"] is True
    assert not file.exists()
    found = network.module(tmp_path, "", found=absent, comment="none wanted")
    assert (found["loaded"], found["written"]) == (False, True)
    assert file.read_text() == "# none wanted\ntable inet dockfra\ndelete table inet dockfra\n\n"
    assert network.module(tmp_path, "", found=absent, comment="none wanted")["changed"] is False
    refused = network.module(tmp_path, rules(PUBLIC), found=absent)
    assert "install the package nftables" in refused["msg"]
    assert file.read_text().startswith("# none wanted")


def test_the_ports_come_from_the_topology() -> None:
    hostvars = {
        "web": {
            "dockfra_networks": ["front"],
            "dockfra_user": "web",
            "dockfra_uid": 10001,
            "dockfra_docker_host": "app-server",
            "dockfra_port_offset": 100,
            "dockfra_ports": [
                {"name": "https", "port": 443, "publish": 443},
                {"name": "http-dashboard", "port": 8080, "publish": 8080},
            ],
            "dockfra_publish_addresses": {"https": "0.0.0.0"},
        },
    }

    class HostVars(dict[str, Any]):
        def raw_get(self, name: str) -> Any:
            return self[name]

    own = {"hostvars": HostVars(hostvars), "groups": {"all": ["web", "app-server"]}}
    own["hostvars"]["app-server"] = {}
    loader = DataLoader()
    found = lookup_loader.get(
        "dockfra.core.public_ports", loader=loader, templar=Templar(loader, variables=own)
    )
    assert found.run(["app-server"], own) == [543]
    assert found.run(["management-server"], own) == []


PLAY = """\
- hosts: app-server
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: dockfra.core.server
"""


@pytest.mark.slow
def test_the_role_prepares_a_server_once(network: Network, tmp_path: Path) -> None:
    """The server has this machine's files and a network of its own."""
    file = tmp_path / "firewall.nft"
    values = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "server_firewall_file": str(file),
        "server_public_ports": [443],
        "server_time": False,
    }
    inventory = {"all": {"hosts": {"app-server": values}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
    (tmp_path / "play.yml").write_text(PLAY)

    def play(*words: str) -> str:
        done = subprocess.run(
            [
                "ip",
                "netns",
                "exec",
                network.server,
                "ansible-playbook",
                "play.yml",
                "-i",
                "hosts.yml",
                *words,
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "elements = { 22, 443 }" in play("--check", "--diff")
    assert not file.exists()
    assert "changed=1 " in play()
    again = play()
    assert "changed=0 " in again
    assert "ok=4 " in again, "one look, and nothing else"
    network.nft("flush chain inet dockfra forward\n")
    assert "changed=1 " in play()
    assert "changed=0 " in play("-e", "server_verify=true")


@pytest.mark.slow
def test_whoever_locks_himself_out_gets_in_again(network: Network, tmp_path: Path) -> None:
    """Over SSH, at a port that only the server itself knows for sure."""
    assert sshds.SSHD is not None
    for name in ("host_key", "user_key"):
        sshds.new_key(tmp_path / name)
    (tmp_path / "authorized_keys").write_text((tmp_path / "user_key.pub").read_text())
    (tmp_path / "known_hosts").write_text(f"[{SERVER4}]:2022 {(tmp_path / 'host_key.pub').read_text()}")
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress {SERVER4}:2022\nHostKey {tmp_path}/host_key\nAuthorizedKeysFile {tmp_path}/authorized_keys\n"
        "PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    file = tmp_path / "firewall.nft"
    values = {
        "ansible_host": SERVER4,
        "ansible_port": 2022,
        "ansible_user": "root",
        "ansible_become": True,
        "ansible_become_method": "su",
        "ansible_ssh_private_key_file": str(tmp_path / "user_key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path}/known_hosts",
        "ansible_control_path_dir": str(tmp_path / "c"),
        "ansible_python_interpreter": sys.executable,
        "server_firewall_file": str(file),
        "server_public_ports": [],
        "server_time": False,
    }
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"app-server": values}}}))
    (tmp_path / "play.yml").write_text(PLAY)

    def play(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            ["ip", "netns", "exec", network.third, "ansible-playbook", "play.yml", "-i", "hosts.yml", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    server = [
        "ip",
        "netns",
        "exec",
        network.server,
        sshds.SSHD,
        "-D",
        "-e",
        "-f",
        str(tmp_path / "sshd_config"),
    ]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL) as sshd:
        try:
            code, output = play("-e", '{"server_ssh_ports": [22]}')
            assert code == 2, output
            assert (
                "let nobody in any more and was taken away again, so that what was before holds: name the port"
                in output
            )
            assert "dockfra" not in network.inside(network.server, "nft", "list", "tables")
            assert not file.exists()
            code, output = play()
            assert code == 0, output
            assert "elements = { 2022 }" in network.inside(network.server, "nft", "list", "ruleset")
            assert "changed=0 " in play()[1]
            # What let one in is in force again, and at the next start of the server.
            kept = file.read_text()
            code, output = play("-e", '{"server_ssh_ports": [22]}')
            assert code == 2, output
            assert "elements = { 2022 }" in network.inside(network.server, "nft", "list", "ruleset")
            assert file.read_text() == kept
            assert "changed=0 " in play()[1]
        finally:
            sshd.terminate()
