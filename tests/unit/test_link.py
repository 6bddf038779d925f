"""The link between two servers with real SSH servers and clients: it comes back whatever happens to it, and carries what is declared."""

from __future__ import annotations

import functools
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import verify
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.secrets import keyring
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import ailment
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from tests.unit import sshds
from tests.unit.linked import Linked, linked, pids, wait_for

pytestmark = pytest.mark.skipif(bool(sshds.why_not()), reason=sshds.why_not())

# Seconds after which something has not happened, on a busy machine. How soon it does is for tests/e2e/test_servers.py.
PATIENCE = 90


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    with linked(tmp_path_factory.mktemp("link")) as found:
        yield found


@pytest.fixture
def link(both: Linked) -> Iterator[Linked]:
    """The link, up."""
    both.start()
    try:
        wait_for(lambda: both.standing()["state"] == "up", PATIENCE, both.standing)
        yield both
    finally:
        both.stop()
        (both.run / "link.json").unlink(missing_ok=True)


def test_each_side_reaches_the_services_of_the_other(link: Linked) -> None:
    for forward in link.calls:
        assert link.ask(forward.service).endswith(" hello\n"), forward
    assert link.standing()["reconnects"] == 0
    heart = (link.run / "hearts" / "link").read_text().splitlines()
    assert heart[1:] in ([], [""])


@pytest.mark.parametrize("hop", ["tunnel-app", "app-server.server"])
def test_a_killed_ssh_is_back(link: Linked, hop: str) -> None:
    before = link.clients()
    assert len(before) == 2
    victims = [pid for pid in before if hop in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(victims[-1], signal.SIGKILL)
    wait_for(lambda: not set(victims[-1:]) & set(link.clients()), PATIENCE)
    wait_for(link.works, PATIENCE)
    wait_for(lambda: link.standing()["reconnects"] == 1, PATIENCE)
    assert len(link.clients()) == 2


def test_packets_that_vanish_are_noticed(link: Linked) -> None:
    link.wire.drop()
    assert not link.works()
    wait_for(link.works, PATIENCE)


def test_a_first_hop_that_stands_still_is_noticed(link: Linked) -> None:
    frozen = link.sessions("server")
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(link.works, PATIENCE)
    finally:
        for pid in frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def test_the_key_opens_the_declared_forwards_and_nothing_else(link: Linked) -> None:
    """A stolen one, at both hops."""
    hidden = socket.create_server(("127.0.0.1", 0))
    port = hidden.getsockname()[1]
    for host in ("tunnel-app", "app-server.server"):
        tried = link.ssh("-W", f"127.0.0.1:{port}", host)
        assert tried.returncode != 0
        assert "administratively prohibited" in tried.stderr, tried.stderr
        tried = link.listen(host, f"127.0.0.1:{free_port()}")
        assert "remote port forwarding failed" in tried.stderr, tried.stderr
        # authorized_keys has no word for sockets of the file system.
        tried = link.listen(host, str(link.folder / "owned.sock"))
        assert "remote port forwarding failed" in tried.stderr, tried.stderr
        assert not (link.folder / "owned.sock").exists()
        ran = link.ssh(host, "touch", str(link.folder / "owned"))
        assert (ran.stdout, (link.folder / "owned").exists()) in (("", False), ("ready\n", False))
        assert link.ssh("-s", host, "sftp").stdout in ("", "ready\n")
    hidden.close()


def mirrored(link: Linked, log: str) -> bool:
    """Whether a log is at this end what it is at the other."""
    try:
        return (link.here / log / f"{log}.jsonl").read_bytes() == (link.there / f"{log}.jsonl").read_bytes()
    except FileNotFoundError:
        return False


def test_audit_logs_are_mirrored_over_the_link_whatever_happens_to_it(link: Linked) -> None:
    names = ("ssh-developer", "ssh-frontend")
    with link.mirrored():
        number = 0

        def grow() -> None:
            nonlocal number
            for name in names:
                for _line in range(50):
                    number += 1
                    AuditLog(link.there / f"{name}.jsonl").append({"verb": "x", "number": number})

        def same() -> bool:
            return all(mirrored(link, name) for name in names)

        grow()
        wait_for(same, PATIENCE)
        os.kill(link.clients()[-1], signal.SIGKILL)
        grow()
        wait_for(same, PATIENCE)
        link.wire.drop()
        grow()
        assert not same()
        wait_for(same, PATIENCE)
        assert all(verify(link.here / name / f"{name}.jsonl").problems == () for name in names)
        assert ailment("audit-fetch", link.run) == ailment("audit-serve", link.run) == ""
        # What is no more what it was is told, and its mirror stays.
        path = link.there / "ssh-developer.jsonl"
        before = path.read_bytes()
        path.write_bytes(before[:-20] + b"X" * 19 + b"\n")
        wait_for(lambda: "is not what it was" in ailment("audit-fetch", link.run), PATIENCE)
        assert (link.here / "ssh-developer" / path.name).read_bytes() == before
        path.write_bytes(before)
        wait_for(lambda: ailment("audit-fetch", link.run) == "", PATIENCE)


def test_the_logs_are_within_reach_of_the_links_key_and_of_no_hop_before(link: Linked) -> None:
    place = f"127.0.0.1:{link.audit_port()}"
    # Nobody listens there now, which the other end tells those who may go there.
    tried = link.ssh("-W", place, "tunnel-app")
    assert "connect failed: Connection refused" in tried.stderr, tried.stderr
    tried = link.ssh("-W", place, "app-server.server")
    assert "administratively prohibited" in tried.stderr, tried.stderr


def test_only_the_words_of_the_configuration_are_there(link: Linked) -> None:
    """What it carries is what the topology has."""
    said = link.config.read_text()
    assert said.count("LocalForward ") == len(link.link.local)
    assert said.count("RemoteForward ") == len(link.link.remote)


@pytest.mark.parametrize("host", ["tunnel-app", "app-server"])
def test_another_host_key_is_no_connection_and_a_problem(both: Linked, host: str, tmp_path: Path) -> None:
    known = both.config.with_name("known_hosts")
    right = known.read_text()
    wrong = sshds.new_key(tmp_path / "other")
    known.write_text(
        "".join(
            f"{host} {wrong}\n" if line.startswith(f"{host} ") else f"{line}\n" for line in right.splitlines()
        )
    )
    both.start()
    try:
        wait_for(lambda: both.standing()["state"] == "refused", PATIENCE)
        assert "has not the host key that it has to have" in both.standing()["problem"]
        wait_for(lambda: "is refused" in (both.run / "hearts" / "link").read_text(), PATIENCE)
        assert both.ask("db") == ""
        known.write_text(right)
        wait_for(both.works, PATIENCE)
        wait_for(lambda: both.standing()["state"] == "up", PATIENCE)
    finally:
        known.write_text(right)
        both.stop()
        (both.run / "link.json").unlink(missing_ok=True)


def test_its_key_changes_while_it_carries(link: Linked) -> None:
    """Both hops let both keys in until the new one is used, and a proof goes over both; what is open stays open."""
    ring = Keyring(link.folder / "state")
    change = ring.change("keys/tunnel")
    old = change.used

    def admitted(key: str) -> bool:
        done = link.script("prove-key", "tunnel-app", text=key)
        assert done.returncode == 0 or "tunnel-app does not admit the key: " in done.stderr, done.stderr
        return done.returncode == 0

    assert admitted(old)
    change.add(lambda _text: keyring.new_ssh_key())
    new = ring.newest("keys/tunnel")
    assert not admitted(new)
    link.put()
    assert [admitted(old), admitted(new)] == [True, True]
    change.switch()
    link.put()
    assert [admitted(old), admitted(new)] == [True, True]
    change.retire()
    link.put()
    assert [admitted(old), admitted(new)] == [False, True]
    assert link.works()
    assert link.standing()["reconnects"] == 0
    os.kill(link.clients()[-1], signal.SIGKILL)
    wait_for(lambda: link.standing()["reconnects"] == 1 and link.works(), PATIENCE)


def test_the_host_key_of_its_other_end_changes_while_it_carries(link: Linked) -> None:
    ring = Keyring(link.folder / "state")
    change = ring.change("host_keys/tunnel-app")

    def said(word: str, line: str) -> int:
        return link.script("host-key", word, "tunnel-app", text=line).returncode

    old = ring.newest_public("host_keys/tunnel-app")
    assert [said("pinned", old), said("shown", old)] == [0, 0]
    change.add(lambda _text: keyring.new_ssh_key())
    new = ring.newest_public("host_keys/tunnel-app")
    assert said("pinned", new) == 1
    link.put()
    assert [said("pinned", old), said("pinned", new), said("shown", old), said("shown", new)] == [0, 0, 0, 1]
    change.switch()
    link.put()
    (listener,) = pids("sshd", str(link.folder / "end" / "sshd_config"))
    os.kill(listener, signal.SIGHUP)
    wait_for(lambda: said("shown", new) == 0, PATIENCE)
    change.retire()
    link.put()
    assert [said("pinned", old), said("pinned", new), said("shown", new)] == [1, 0, 0]
    assert link.works()
    os.kill(link.clients()[-1], signal.SIGKILL)
    wait_for(lambda: link.standing()["reconnects"] == 1 and link.works(), PATIENCE)


def test_nothing_is_left_of_it_when_it_is_stopped(link: Linked) -> None:
    link.stop()
    assert link.clients() == []
    wait_for(lambda: link.sessions("end") == [] and link.ask("ssh-manager") == "", PATIENCE)


def test_one_whose_supervisor_was_killed_leaves_no_client(link: Linked) -> None:
    assert link.daemon is not None
    link.daemon.kill()
    wait_for(lambda: link.clients() == [], PATIENCE)


def came_back(link: Linked, times: int) -> bool:
    return bool(link.standing()["reconnects"] == times and link.works())


@pytest.mark.slow
def test_after_50_flaps_there_is_one_listener_and_one_client(link: Linked) -> None:
    for number in range(1, 51):
        os.kill(link.clients()[-1 if number % 2 else 0], signal.SIGKILL)
        wait_for(functools.partial(came_back, link, number), PATIENCE)
    assert link.standing()["reconnects"] == 50
    assert len(link.clients()) == 2
    # A process for each session, and one more for its user where the server starts as root.
    wait_for(lambda: len(link.sessions("end")) <= 3 and len(link.sessions("server")) <= 2, PATIENCE)
