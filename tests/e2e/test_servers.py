"""A platform on two servers: what others reach of it, the link between them, and the loss of one.

What works on one host works across the two as well, which the other modules show with DOCKFRA_SERVERS=1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import (
    DIRECTORY,
    WorkLock,
    run_lock_name,
)
from tests.e2e.support import runs
from tests.e2e.support.engines import Engine
from tests.e2e.support.platform import LOCALHOST, Platform
from tests.servers import run as servers

pytestmark = pytest.mark.two_servers

MANAGEMENT, APP = servers.NAMES
COLLECTION = "collections/ansible_collections/dockfra/core"
# Ends every ssh process of a tunnel's container, and says how many there were.
_KILL = """
import os, pathlib, signal
found = [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm") if path.read_text() == "ssh\\n"]
for pid in found:
    os.kill(pid, signal.SIGKILL)
print(len(found))
"""
# Reads the greeting of an SSH server; prints nothing where there is none.
_GREETING = 'exec 3<>"/dev/tcp/$1/$2" && timeout 2 head -c 8 <&3'


def greets(platform: Platform, caller: str, service: str) -> bool:
    """Whether a service answers a caller in its own protocol, whatever is between them."""
    port = platform.topology.services[service].ssh_ports[0].number
    done = platform.run(caller, "bash", "-c", _GREETING, "greeting", service, str(port))
    return done.stdout == "SSH-2.0-"


def works(platform: Platform) -> bool:
    """Whether the link carries both ways."""
    return greets(platform, "ssh-monitor", "ssh-frontend") and greets(
        platform, "ssh-developer", "ssh-manager"
    )


def seconds_until(check: Callable[[], bool], limit: float) -> float:
    """Wait until something holds; returns the seconds that took."""
    begin = time.monotonic()
    while not check():
        assert time.monotonic() - begin < limit, f"not within {limit:g} s"
        time.sleep(0.1)
    return time.monotonic() - begin


def standing(platform: Platform) -> dict[str, Any]:
    """What the monitor says of the link."""
    done = platform.ssh("monitor", "status --now --json")
    [link] = json.loads(done.stdout)["links"]
    return dict(link)


def told(name: str, seconds: float) -> None:
    """Keep what was measured beside the reports."""
    with (runs.REPORTS / "servers.jsonl").open("a") as file:
        file.write(json.dumps({"what": name, "seconds": round(seconds, 1)}) + "\n")


# What others reach --------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing_on_both(platform: Platform) -> None:
    before = platform.snapshot()
    again = runs.playbook("site.yml", name="servers-again").ok()
    assert again.changed == 0
    assert {MANAGEMENT, APP} <= again.hosts
    assert platform.snapshot() == before
    told("second run", again.seconds)


def test_of_two_runs_neither_keeps_what_the_other_waits_for(platform: Platform) -> None:
    """Locks are taken side by side where all are free, else in one order; so no two runs wait for each other."""
    name = run_lock_name(platform.topology.project)
    locks = {host: WorkLock(engine.path(DIRECTORY), name) for host, engine in platform.engines.items()}
    kept = {}
    for held, free in ((MANAGEMENT, APP), (APP, MANAGEMENT)):
        with locks[held].hold("somebody", f"works on {held}"):
            started = runs.start("site.yml", name=f"servers-lock-{held}")
            started.wait_for(f"Another run works on this platform: somebody .*works on {held}")
            kept[held] = locks[free].holder()
        assert started.end().ok().changed == 0
        assert locks[free].holder() is None
    assert [holder is None for holder in kept.values()] in ([True, False], [False, True]), kept


def test_from_a_third_machine_only_the_listed_ports_answer(platform: Platform) -> None:
    """This machine is one: it has nothing of the platform but the keys to log in."""
    for host, engine in platform.engines.items():
        # Whatever listens there, on any address, is all that could answer.
        listening = {port for _address, port in engine.netprobe("listening", [1])["1"]}
        published = [
            port
            for service in platform.topology.on_host(host)
            for port in service.ports
            if port.publish is not None
        ]
        assert listening >= {22, *(port.publish for port in published)}
        tried = {(engine.address, number) for number in listening if number is not None}
        open_there = {number for _address, number in platform.reachable_from(os.getpid(), tried)}
        assert open_there == {22, *(port.publish for port in published if not port.is_local)}
    assert {port.publish for _name, port in public(platform)} == {80, 443, 2200, 2201, 2202, 2203}


def public(platform: Platform) -> Iterator[tuple[str, Any]]:
    for service in platform.topology.containers():
        for port in service.ports:
            if port.publish is not None and not port.is_local:
                yield service.name, port


def test_nothing_between_the_servers_but_ssh(platform: Platform) -> None:
    """No other port of one server is open to the other, or to its containers."""
    management, app = platform.engines[MANAGEMENT], platform.engines[APP]
    for here, there in ((management, app), (app, management)):
        numbers = {port for _address, port in there.netprobe("listening", [1])["1"]}
        answer = here.netprobe(
            "connect", {"pids": [1], "targets": sorted((there.address, number) for number in numbers)}
        )
        open_there = {number for _address, number in answer["1"]}
        assert open_there == {
            22,
            *(port.publish for name, port in public(platform) if platform.engine(name) is there),
        }


def test_everybody_logs_in_at_the_role_of_another_server_by_its_name(platform: Platform) -> None:
    """The seed's own line, typed in a container of the management server."""
    [port] = platform.topology.services["ssh-developer"].ssh_ports
    for role in ("manager", "monitor"):
        line = f"ssh developer@ssh-developer -p {port.number} id"
        done = platform.ssh(role, line)
        admitted = role in platform.topology.gate_callers("ssh-developer")
        assert (done.returncode == 0 and f"caller={role}" in done.stdout) == admitted, done


# The link -----------------------------------------------------------------------------------------------------------


def test_what_was_killed_comes_back_within_5_s(platform: Platform) -> None:
    before = standing(platform)["reconnects"]
    done = platform.run("tunnel", "python3", "-c", _KILL)
    assert done.stdout == "2\n", done
    told("ssh killed", seconds_until(lambda: works(platform), 5))
    seconds_until(lambda: standing(platform)["reconnects"] == before + 1, 30)
    assert standing(platform)["state"] == "up"


def test_a_target_that_is_not_declared_is_refused(platform: Platform) -> None:
    """With the tunnel's own key and configuration, at both hops."""
    for hop in ("tunnel-app", "app-server.server"):
        for target in ("db.backend-net:5433", f"{LOCALHOST}:22", "ssh-developer.shared-net:22"):
            done = platform.run(
                "tunnel", "ssh", "-F", "/etc/dockfra/link/ssh_config", "-o", "ClearAllForwardings=yes", "-o", "LogLevel=INFO", "-W", target, hop
            )  # fmt: skip
            assert done.returncode != 0
            assert "administratively prohibited" in done.stderr, done


def test_a_stolen_key_of_the_tunnel_opens_nothing_else(platform: Platform) -> None:
    """Taken to another machine, it may knock at the servers that others reach."""
    key = platform.key("tunnel")
    engine = platform.engines[APP]
    user = f"{platform.topology.project}-link"  # dockfra_link_user
    options = ["-F", "none", "-i", str(key), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]  # fmt: skip
    options += [
        "-o",
        f"UserKnownHostsFile={platform.state / 'known_hosts'}",
        "-o",
        "StrictHostKeyChecking=yes",
    ]

    def ssh(alias: str, port: int, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", *options, "-o", f"HostKeyAlias={alias}", "-p", str(port), *words[:-1], f"{name}@{engine.address}", words[-1]],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )  # fmt: skip

    for words in (["id"], ["-tt", "sh"], ["-s", "sftp"]):
        done = ssh(APP, 22, user, *words)
        assert "uid=" not in done.stdout
        assert done.returncode != 0 or done.stdout == "", done
    # Nothing in the file system either, of which permitlisten does not speak.
    socket = "/tmp/stolen.sock"
    listening = ["-T", "-o", "ExitOnForwardFailure=yes", "-R", f"{socket}:{LOCALHOST}:9"]
    done = ssh(APP, 22, user, *listening, "id")
    assert done.returncode != 0, done
    assert "remote port forwarding failed" in done.stderr, done
    assert not engine.path(socket).exists()
    for service, port in public(platform):
        if port.name == "ssh" and platform.engine(service) is engine:
            done = ssh(service, int(port.publish or 0), platform.topology.services[service].user, "id")
            assert "Permission denied (publickey)" in done.stderr, done
    assert "Permission denied (publickey" in ssh(APP, 22, servers.USER, "id").stderr


@contextmanager
def dropped(engine: Engine, port: int) -> Iterator[None]:
    """Packets of the connections that there are now to a port vanish, as behind a router that has forgotten them."""
    listed = subprocess.run(
        engine.on_network("ss", "-Htn", "state", "established", f"( sport = :{port} )"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    peers = {line.split()[3].rsplit(":", 1)[1] for line in listed.splitlines()}
    assert peers, "nobody is connected"
    rules = f"""
    table inet dockfra_test {{
      chain in {{ type filter hook input priority -200; tcp dport {port} tcp sport {{ {", ".join(sorted(peers))} }} drop; }}
      chain out {{ type filter hook output priority -200; tcp sport {port} tcp dport {{ {", ".join(sorted(peers))} }} drop; }}
    }}
    """
    subprocess.run(engine.on_network("nft", "-f", "-"), input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(engine.on_network("nft", "delete", "table", "inet", "dockfra_test"), check=True)


@pytest.mark.slow
def test_packets_that_vanish_are_noticed_within_20_s(platform: Platform) -> None:
    with dropped(platform.engines[APP], 22):
        assert not works(platform)
        told("packets dropped", seconds_until(lambda: works(platform), 20))


@pytest.mark.slow
def test_50_flaps_leave_no_orphan_and_nothing_is_done_twice(platform: Platform) -> None:
    listening = platform.listening(["tunnel", "tunnel-app"])
    title, made = f"Made while the link flaps {time.time_ns()}", 0
    for number in range(50):
        platform.run("tunnel", "python3", "-c", _KILL)
        done = platform.ssh("developer", f"ssh ssh-manager 'ticket-create \"{title} {number}\"'", timeout=60)
        made += done.returncode == 0
        seconds_until(lambda: works(platform), 30)
    listed = json.loads(platform.ssh("manager", "ticket-list --json").stdout)["tickets"]
    titles = [ticket["title"] for ticket in listed if ticket["title"].startswith(title)]
    assert len(titles) == len(set(titles))
    assert len(titles) >= made
    assert platform.listening(["tunnel", "tunnel-app"]) == listening
    assert platform.run("tunnel", "python3", "-c", _KILL).stdout == "2\n"
    seconds_until(lambda: works(platform), 30)
    assert platform.run("tunnel-app", "pgrep", "-c", "-f", "sshd-session: tunnel@").stdout == "1\n"


@pytest.mark.slow
def test_a_server_that_starts_again_is_back_within_30_s(platform: Platform) -> None:
    for name in (APP, MANAGEMENT):
        restart(name)
        platform.wait_answering("tunnel", "tunnel-app")
        told(f"{name} restarted", seconds_until(lambda: works(platform), 30))


def restart(name: str) -> None:
    stop(name)
    start(name)


def stop(name: str) -> None:
    subprocess.run(
        ["docker", "stop", "--time", "10", str(servers.find(name)["Id"])], capture_output=True, check=True
    )


def start(name: str) -> None:
    """Start a server, and wait until its engine answers."""
    subprocess.run(["docker", "start", str(servers.find(name)["Id"])], capture_output=True, check=True)
    engine = Engine(name, name)

    def answers() -> bool:
        return subprocess.run(engine.command("ps"), capture_output=True).returncode == 0

    seconds_until(answers, 120)


@pytest.mark.slow
def test_a_wrong_host_key_is_no_connection_and_an_alert(platform: Platform) -> None:
    """Somebody else answers at the app server's address."""
    engine = platform.engines[APP]
    folder = engine.path("/etc/ssh")
    right = folder / "ssh_host_ed25519_key"
    kept = folder / "kept"
    subprocess.run(["mv", str(right), str(kept)], check=True)
    try:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True
        )
        (folder / "other").rename(right)
        servers.inside(APP, "sh", "-c", "kill -HUP $(cat /run/sshd.pid)")
        platform.run("tunnel", "python3", "-c", _KILL)
        seconds_until(lambda: standing(platform)["state"] == "refused", 60)
        assert not works(platform)
        assert "host key" in standing(platform)["problem"]

        def alerted() -> bool:
            return "link" in json.loads(platform.ssh("monitor", "status --json").stdout)["alerts"]

        seconds_until(alerted, 120)
    finally:
        subprocess.run(["mv", str(kept), str(right)], check=True)
        servers.inside(APP, "sh", "-c", "kill -HUP $(cat /run/sshd.pid)")
    seconds_until(lambda: works(platform), 60)


# Loss ---------------------------------------------------------------------------------------------------------------


@contextmanager
def lost(name: str) -> Iterator[None]:
    """A server is away inside, and comes back by itself afterwards."""
    stop(name)
    try:
        yield
    finally:
        start(name)


@pytest.mark.slow
def test_without_the_management_server_the_application_serves(
    platform: Platform, web: requests.Session
) -> None:
    with lost(MANAGEMENT):
        for path in ("/", "/api/info", "/mobile/config"):
            assert web.get(platform.url(path), timeout=10).status_code == 200
        assert platform.ssh("developer", "id -un").stdout == "developer\n"
        done = platform.ssh("developer", "my-tickets", timeout=60)
        assert done.returncode != 0
        assert re.search(r"ssh-manager cannot be reached|no answer|cannot be reached", done.stderr), done
        refused = runs.playbook("site.yml", name="servers-lost-management")
        assert refused.code != 0
        assert any("management-server cannot be reached" in line for line in refused.errors)
    back(platform)


@pytest.mark.slow
def test_without_the_app_server_tickets_and_commands_work(platform: Platform) -> None:
    with lost(APP):
        made = platform.ssh("manager", "ticket-create 'While it is away' --json")
        assert made.returncode == 0, made.stderr
        shown = platform.ssh("monitor", "status --now --json", timeout=120)
        states = {each["service"]: each["state"] for each in json.loads(shown.stdout)["services"]}
        for service in platform.topology.containers():
            if service.docker_host == APP:
                assert states[service.name] != "up"
        assert states["ssh-manager"] == states["git"] == "up"
        done = platform.ssh("monitor", "deploy-frontend", timeout=300)
        assert done.returncode != 0
        assert "ssh-frontend" in done.stderr
        assert "Traceback" not in done.stderr
    back(platform)


def back(platform: Platform) -> None:
    """One run, and all is well."""
    runs.playbook("site.yml", name="servers-back").ok()
    seconds_until(lambda: works(platform), 60)
    done = platform.ssh("monitor", "verify", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# Upgrades -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_upgrade_ends_at_the_first_that_does_not_get_well_on_whatever_server(
    platform: Platform, tmp_path: Path
) -> None:
    """One service of each server is to be replaced, and whichever comes first is broken."""
    extra = tmp_path / "changed.yml"
    groups = {
        "management": "ssh-autopilot",
        "app": "ssh-rpi3",
    }  # their own, or the inventory has another order
    chosen = set(groups.values())

    def run(name: str, **values: Any) -> runs.Run:
        changed = {group: {"hosts": {service: values}} for group, service in groups.items()}
        extra.write_text(yaml.safe_dump(changed))
        options = ("-e", "dockfra_upgrade=serial", "-e", "dockfra_healthy_timeout=60")
        return runs.playbook("site.yml", *options, inventories=[runs.INVENTORY, extra], name=name)

    def replaced(since: dict[str, str]) -> set[str]:
        now = platform.ids()
        return {name for name in now if now[name] != since.get(name)}

    before = platform.ids()
    try:
        broken = run("serial-broken", dockfra_health=["not-there"], dockfra_health_interval=1)
        assert broken.code != 0
        [first] = replaced(before)
        [other] = chosen - {first}
        assert broken.errors[0].startswith(f"{first} cannot become healthy: ")
        assert re.search(rf"^Not touched, .*: {other}$", broken.output, re.MULTILINE)

        mended = run("serial-mended", dockfra_memory="200m").ok()
        assert re.findall(r"(\S+) ready after", mended.output) == [first, other]
        assert replaced(before) == chosen
        platform.wait_healthy(*chosen)
    finally:
        runs.playbook("site.yml", name="serial-back").ok()


@pytest.mark.slow
def test_new_code_comes_to_both_servers_one_service_after_the_other(
    platform: Platform, tmp_path: Path
) -> None:
    """Images are built once and sent, and at no time is more than one service away."""
    clone = runs.copy_tree(tmp_path / "clone")
    (clone / ".dockfra").symlink_to(runs.ROOT / ".dockfra")
    with next((clone / COLLECTION / "roles/gate/files/image/rootfs").rglob("bash_completion.d/dockfra")).open(
        "a"
    ) as file:
        file.write("# Changed by a test.\n")
    before, away, ended = platform.ids(), list[set[str]](), threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            running = {
                container.name
                for engine in platform.engines.values()
                for container in engine.client.containers.list(ignore_removed=True)
            }
            away.append(
                {name for name in platform.names if platform.topology.container_name(name) not in running}
            )

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        runs.playbook("site.yml", root=clone, name="upgrade").ok()
        ended.set()
        watcher.join()
        after = platform.ids()
        assert {"ssh-manager", "tunnel", "ssh-frontend", "tunnel-app", "git"} <= {
            name for name in after if after[name] != before[name]
        }
        assert len(away) > 10
        assert max(map(len, away)) == 1
        assert works(platform)
        assert runs.playbook("site.yml", root=clone, name="upgrade-again").ok().changed == 0
    finally:
        ended.set()
        runs.playbook("site.yml", name="upgrade-back").ok()
