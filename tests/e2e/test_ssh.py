"""SSH as the only way in: who may log in where, and what a connection may do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.support.platform import LOCALHOST, Platform, read_topology

TOPOLOGY = read_topology()
SERVERS = [
    service.name
    for service in TOPOLOGY.containers()
    if any(port.publish is not None for port in service.ssh_ports) and not service.is_tunnel
]
CLIENTS = [service.name for service in TOPOLOGY.services.values() if service.client_key]
_REFUSED = "Permission denied (publickey)"
_SSH_AUDIT = str(Path(sys.executable).parent / "ssh-audit")


def logins(service: str) -> list[str]:
    """The keys that may log in to a service."""
    return TOPOLOGY.services[service].logins


def with_key(platform: Platform, server: str, key: Path) -> subprocess.CompletedProcess[str]:
    """Log in with one key and no other: without the generated configuration, but with the host key it pins."""
    options = [
        *("-F", "none", "-i", str(key), "-p", str(platform.published(server, "ssh"))),
        *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
        *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={platform.state / 'known_hosts'}"),
        *("-o", f"HostKeyAlias={server}"),
    ]
    user = TOPOLOGY.services[server].user
    return subprocess.run(
        platform.engine(server).on_network("ssh", *options, f"{user}@{LOCALHOST}", "id -un"),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def assert_gate(done: subprocess.CompletedProcess[str]) -> None:
    """The key reached the gate, and `id -un` was not run: the gate's own id takes no options, or is not for this caller."""
    assert (done.returncode in (2, 77), done.stdout) == (True, ""), done
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_there_are_seven_published_servers() -> None:
    assert len(SERVERS) == 7


@pytest.mark.parametrize("server", SERVERS)
def test_declared_keys_log_in_and_all_others_are_refused(platform: Platform, server: str) -> None:
    """With the generated configuration, host keys pinned; the user is the declared one."""
    config = subprocess.run(
        ["ssh", "-G", "-F", str(platform.state / "ssh_config"), server], capture_output=True, text=True
    )
    assert "stricthostkeychecking true" in config.stdout
    assert "globalknownhostsfile none" in config.stdout

    plain = platform.ssh(server, "id -un")
    assert (plain.returncode, plain.stdout.strip()) == (0, TOPOLOGY.services[server].user), plain.stderr

    names = sorted(path.name for path in (platform.state / "keys").iterdir())
    assert set(logins(server)) <= set(names)

    with ThreadPoolExecutor(3) as pool:
        attempts = pool.map(lambda name: with_key(platform, server, platform.key(name)), names)
        for name, done in zip(names, attempts, strict=True):
            if name in logins(server):
                assert (done.returncode, done.stdout.strip()) == (0, TOPOLOGY.services[server].user), name
            elif name in TOPOLOGY.gate_callers(server):
                assert_gate(done)
            elif name in TOPOLOGY.services[server].forwards:
                # It opens its way through, and nothing here.
                assert (done.returncode, done.stdout) == (77, ""), name
                assert done.stderr.splitlines()[-1].startswith("denied: "), name
            else:
                assert done.returncode == 255, name
                assert _REFUSED in done.stderr, name


@pytest.mark.parametrize("server", SERVERS)
def test_a_changed_host_key_is_refused(platform: Platform, server: str, tmp_path: Path) -> None:
    """The key of another server under this one's name: no connection, and no way to accept it."""
    other = next(name for name in SERVERS if name != server)
    line = next(
        line
        for line in (platform.state / "known_hosts").read_text().splitlines()
        if line.startswith((f"{other},", f"{other} "))
    )
    known = tmp_path / "known_hosts"
    known.write_text(f"{server} {line.split(' ', 1)[1]}\n")
    done = platform.ssh(server, "true", options=["-o", f"UserKnownHostsFile={known}"])
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


@pytest.mark.parametrize("server", SERVERS)
def test_no_passwords_no_other_users_no_forwarding(platform: Platform, server: str, tmp_path: Path) -> None:
    password = platform.ssh(
        server,
        "true",
        options=[
            "-v",
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "PreferredAuthentications=password,keyboard-interactive",
        ],
    )
    assert password.returncode == 255
    assert "Authentications that can continue: publickey\n" in password.stderr.replace("\r", "")
    root = platform.ssh(server, "true", options=["-l", "root"])
    assert (root.returncode, _REFUSED in root.stderr) == (255, True)

    through = platform.ssh(server, options=["-W", f"{LOCALHOST}:2222"])
    assert through.returncode != 0
    assert "administratively prohibited" in through.stderr
    back = platform.ssh(
        server, "echo connected", options=["-o", "ExitOnForwardFailure=yes", "-R", f"29999:{LOCALHOST}:1"]
    )
    assert (back.returncode, back.stdout) == (255, "")
    agent = platform.ssh(server, 'echo "agent:$SSH_AUTH_SOCK display:$DISPLAY"', options=["-A"])
    assert agent.stdout.strip() == "agent: display:"


@pytest.mark.parametrize("caller", [service.name for service in TOPOLOGY.containers() if service.ssh_ports])
def test_from_inside_each_server_is_reached_by_name_with_the_declared_keys_only(
    platform: Platform, caller: str
) -> None:
    """From a container's own shell, with its own configuration, which pins the host keys of all it can reach."""
    key = TOPOLOGY.services[caller].client_key
    for peer in TOPOLOGY.ssh_peers(caller):
        done = platform.run(caller, "ssh", "-o", "BatchMode=yes", peer.name, "id -un")
        assert "known_hosts" not in done.stderr, (
            f"{caller} has not pinned the host key of {peer.name}: {done.stderr}"
        )
        if key and key in logins(peer.name):
            assert (done.returncode, done.stdout.strip()) == (0, peer.user), (
                f"{caller} → {peer.name}: {done.stderr}"
            )
        elif key and key in TOPOLOGY.gate_callers(peer.name):
            assert_gate(done)
        else:
            assert done.returncode == 255, f"{caller} → {peer.name}"
            assert _REFUSED in done.stderr, f"{caller} → {peer.name}: {done.stderr}"


def test_the_way_to_the_device_is_real(platform: Platform) -> None:
    """A person logs in at the monitor, goes on to the bastion, and from there to the device."""
    assert {"ssh-frontend", "ssh-backend", "ssh-rpi3"} <= {
        peer.name for peer in TOPOLOGY.ssh_peers("ssh-monitor")
    }
    done = platform.ssh("monitor", "ssh ssh-rpi3 'ssh rpi3 \"id -un; hostname\"'")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [TOPOLOGY.services["rpi3"].user, TOPOLOGY.container_name("rpi3")]


def test_the_desktop_tunnels_key_opens_its_tunnel_and_nothing_else(platform: Platform) -> None:
    command = platform.run(
        "vnc-rpi3", "ssh", "-F", "/etc/dockfra/ssh/ssh_config", "-o", "BatchMode=yes", "rpi3", "id"
    )
    assert command.returncode == 77
    assert command.stderr.splitlines()[-1].startswith("denied:")
    other = platform.run(
        *(
            "vnc-rpi3",
            "ssh",
            "-F",
            "/etc/dockfra/ssh/ssh_config",
            "-o",
            "BatchMode=yes",
            "-W",
            "localhost:2222",
            "rpi3",
        )
    )
    assert other.returncode != 0
    assert "administratively prohibited" in other.stderr


def test_files_go_both_ways(platform: Platform, tmp_path: Path) -> None:
    source, back = tmp_path / "there", tmp_path / "back"
    source.write_bytes(os.urandom(100_000))
    for pair in ((str(source), "developer:copied"), ("developer:copied", str(back))):
        done = subprocess.run(
            ["scp", "-q", "-F", str(platform.state / "ssh_config"), *pair], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert back.read_bytes() == source.read_bytes()
    assert platform.ssh("developer", "rm copied").returncode == 0


def test_twenty_bad_logins_do_not_lock_the_owner_out(platform: Platform) -> None:
    """Behind Docker's gateway all clients share one address, so nobody may be punished for another's mistakes."""
    with ThreadPoolExecutor(4) as pool:
        wrong = platform.key("monitor")
        codes = list(
            pool.map(lambda _number: with_key(platform, "ssh-developer", wrong).returncode, range(20))
        )
    assert codes == [255] * 20
    assert platform.ssh("developer", "true").returncode == 0


# Algorithms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_ssh_audit_of_the_server(platform: Platform, server: str) -> None:
    done = subprocess.run(
        platform.engine(server).on_network(
            _SSH_AUDIT, "--no-colors", "--port", str(platform.published(server, "ssh")), LOCALHOST
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "[fail]" not in done.stdout
    assert "[warn]" not in done.stdout


@contextmanager
def _client_audit(platform: Platform, client: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """ssh-audit as a server on the loopback address of a container, without touching its file system."""
    command = platform.on_network(client, _SSH_AUDIT, "--no-colors", "--client-audit")
    process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("client", CLIENTS)
def test_ssh_audit_of_the_client(platform: Platform, client: str) -> None:
    port = 2299
    with _client_audit(platform, client, port) as audit:
        place = (LOCALHOST, port)
        deadline = time.monotonic() + 20
        while not {place, ("0.0.0.0", port), ("::", port)} & platform.listening([client])[client]:
            assert audit.poll() is None, audit.communicate()[0]
            assert time.monotonic() < deadline, "ssh-audit does not listen"
            time.sleep(0.1)
        platform.run(
            client,
            "ssh",
            "-F",
            "/etc/dockfra/ssh/ssh_config",
            "-o",
            "BatchMode=yes",
            "-p",
            str(port),
            LOCALHOST,
        )
        report, _nothing = audit.communicate(timeout=60)
    assert audit.returncode == 0, report
    assert re.search(r"\(kex\)|kex", report)
    assert "[fail]" not in report
