"""A link between two servers on this machine's loopback: real SSH servers and clients, with the files that the platform has for them."""

from __future__ import annotations

import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.topology.link import Forward, Link
from ansible_collections.dockfra.core.plugins.module_utils.topology.ports import LOOPBACK
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS
from tests.unit import sshds
from tests.unit.two_servers import APP, platform

# The client's lines that an older version does not know, or that are about the container's files.
_ELSEWHERE = "KexAlgorithms|Ciphers|MACs|HostKeyAlgorithms|PubkeyAcceptedAlgorithms|IdentityFile|UserKnownHostsFile|User"

_PROGRAMS = (
    COLLECTIONS / "ansible_collections/dockfra/core/roles/sshd/files/image/rootfs/usr/local/lib/dockfra"
)

_DAEMON = """
    import sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.link import PERIOD, Links

    daemon = Daemon("link", Path(sys.argv[1]))
    links = Links(daemon, ["tunnel-app"], Path(sys.argv[2]))
    try:
        sys.exit(daemon.serve(links.step, PERIOD, children=True))
    finally:
        links.close()
"""

_SERVE = """
    import json, sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_serve import PERIOD, Server
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon

    run, folder, port, said = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    daemon = Daemon("audit-serve", run)
    server = Server(port, {log: folder / f"{log}.jsonl" for log in said["logs"]}, daemon.log)
    sys.exit(daemon.serve(server.step, PERIOD))
"""

_FETCH = """
    import json, sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_fetch import PERIOD, Stream
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon

    run, folder, port, said = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    daemon = Daemon("audit-fetch", run)
    ((tunnel, logs),) = said.items()
    sys.exit(daemon.serve(Stream(tunnel, port, logs["logs"], folder, daemon.log).step, PERIOD))
"""


class _Told(socketserver.BaseRequestHandler):
    """Says on which port it listens, and repeats a line."""

    def handle(self) -> None:
        port = self.request.getsockname()[1]
        line = self.request.recv(100)
        self.request.sendall(f"{port} ".encode() + line)


class _Services(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class Wire:
    """What lies between the client and the server: it can be cut without a word to either side."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut: list[threading.Event] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> None:
        """From now on nothing gets through what is connected, and nobody is told."""
        for event in self._cut:
            event.set()

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            cut = threading.Event()
            self._cut.append(cut)
            self._open += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(source, target, cut), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, cut: threading.Event) -> None:
    try:
        while data := source.recv(65536):
            if cut.is_set():
                cut.wait()
                continue
            target.sendall(data)
        if not cut.is_set():
            target.shutdown(socket.SHUT_WR)
    except OSError:
        if not cut.is_set():
            for end in (source, target):
                end.close()


class Linked:
    """The link, and both ends of it.

    Attributes:
        link: as the topology has it.
        config: the client's configuration.
        run: the daemon's own state.
        wire: between the client and the server.
        put: puts in place what the platform has now: who is let in at both hops, and what the client has.
        calls: the forwards that calls of services take.
        there: the directory of the audit logs at the other end.
        here: that of their mirrors at this one.
    """

    def __init__(self, folder: Path, link: Link, ports: dict[str, int], said: tuple[bytes, bytes]) -> None:
        self.folder = folder
        self.link = link
        self.config = folder / "client" / "ssh_config"
        self.run = folder / "run"
        self.calls = [each for each in (*link.local, *link.remote) if each.listen != LOOPBACK]
        self.there, self.here = folder / "logs", folder / "mirrors"
        self._ports = ports
        self._said = said
        self.wire: Wire
        self.put: Callable[[], None]
        self.daemon: subprocess.Popen[bytes] | None = None

    def forward(self, service: str) -> Forward:
        """The first forward to a service."""
        return next(each for each in self.calls if each.service == service)

    def ask(self, service: str) -> str:
        """What answers where callers of a service ask for it; empty where nothing does."""
        forward = self.forward(service)
        try:
            with socket.create_connection(
                ("127.0.0.1", self._ports[f"{forward.listen}:{forward.port}"]), 2
            ) as asked:
                asked.settimeout(2)
                asked.sendall(b"hello\n")
                return asked.recv(100).decode()
        except OSError:
            return ""

    def works(self) -> bool:
        """Whether callers on both hosts get to services of the other."""
        return all(
            self.ask(service) == f"{self.target(service)} hello\n" for service in ("db", "ssh-manager")
        )

    def target(self, service: str) -> int:
        forward = self.forward(service)
        return self._ports[f"{forward.host}:{forward.target}"]

    def standing(self) -> dict[str, Any]:
        """What the daemon has written down."""
        try:
            (found,) = json.loads((self.run / "link.json").read_text())["links"]
        except (OSError, ValueError):
            return {"state": "", "reconnects": 0, "problem": ""}
        return dict(found)

    def start(self) -> None:
        self.daemon = _started(_DAEMON, self.run, self.config)

    @contextmanager
    def mirrored(self) -> Iterator[None]:
        """Both daemons that bring audit logs from one end to the other, with the files that the platform has for them."""
        (forward,) = (each for each in self.link.local if each not in self.calls)
        serves, collects = (said.decode() for said in self._said)
        self.there.mkdir(exist_ok=True)
        daemons = [
            _started(_SERVE, self.run, self.there, self.audit_port(), serves),
            _started(_FETCH, self.run, self.here, self._ports[f"{forward.listen}:{forward.port}"], collects),
        ]
        try:
            yield
        finally:
            for daemon in daemons:
                daemon.terminate()
                daemon.wait(15)

    def audit_port(self) -> int:
        """Where the other end serves its audit logs."""
        (forward,) = (each for each in self.link.local if each not in self.calls)
        return self._ports[f"{forward.host}:{forward.target}"]

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(15)
            self.daemon = None

    def script(self, name: str, *words: str, text: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the tunnel's image, with a text on standard input."""
        etc = self.folder / "etc"
        for folder in ("ssh", "link"):
            (etc / folder).mkdir(parents=True, exist_ok=True)
        config, client = self.config.read_text(), self.config.parent
        config = config.replace(f"{client}/key", f"{etc}/ssh/id_ed25519")
        (etc / "link/ssh_config").write_text(
            config.replace(f"{client}/known_hosts", f"{etc}/link/known_hosts")
        )
        (etc / "link/known_hosts").write_text((client / "known_hosts").read_text())
        _private(etc / "ssh/id_ed25519", (client / "key").read_bytes())
        script = self.folder / name
        program = (_PROGRAMS / name).read_text().replace("/etc/dockfra", str(etc))
        script.write_text(program.replace("/run/", f"{self.run}/"))
        return subprocess.run(
            ["bash", str(script), *words], input=text, capture_output=True, text=True, timeout=60, check=False
        )

    def clients(self) -> list[int]:
        """The processes of ssh that keep it open, the first hop's among them."""
        return pids("ssh", str(self.config))

    def sessions(self, server: str) -> list[int]:
        """The processes in which a server speaks with those who have connected."""
        config = str(self.folder / server / "sshd_config")
        (listener,) = pids("sshd", config)
        return _below(listener)

    def ssh(self, *words: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Use the link's key for something else; of its forwards none is made."""
        command = [
            "ssh",
            "-T",
            "-F",
            str(self._patient(r"ServerAlive\w+")),
            "-o",
            "ClearAllForwardings=yes",
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=INFO",
            *words,
        ]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )

    def _patient(self, without: str) -> Path:
        """The link's configuration without some keywords: who only tries something does not mind a busy machine."""
        config = self.config.with_name("patient")
        config.write_text(re.sub(rf"^ *({without}) .*\n", "", self.config.read_text(), flags=re.MULTILINE))
        return config

    def listen(self, host: str, place: str) -> subprocess.CompletedProcess[str]:
        """Use the link's key to listen at one of the hops, at an address and port or at a path."""
        config = self._patient(r"(Local|Remote)Forward|ServerAlive\w+")
        command = [
            "ssh",
            "-N",
            "-T",
            "-F",
            str(config),
            "-o",
            "BatchMode=yes",
            "-R",
            f"{place}:127.0.0.1:9",
            host,
        ]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )


def _started(program: str, *words: object) -> subprocess.Popen[bytes]:
    """Start one of the daemons above."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stdout=subprocess.DEVNULL,
    )


def pids(program: str, argument: str) -> list[int]:
    """The processes of a program that have an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        # A server puts what it does in the place of its own words.
        name = os.path.basename((words[0].split() or [""])[0].rstrip(":"))
        if name == program and any(argument in word for word in words):
            found.append(int(path.parent.name))
    return sorted(found)


def _below(parent: int) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            pid = int(path.parent.name)
            found += [pid, *_below(pid)]
    return found


def wait_for(check: Callable[[], bool], seconds: float, told: Callable[[], object] = str) -> float:
    """Wait until something is so; returns the seconds it took, and fails after so many with what there is to tell."""
    begin = time.monotonic()
    while not check():
        assert time.monotonic() - begin < seconds, f"not within {seconds:g} s: {told()}"
        time.sleep(0.1)
    return time.monotonic() - begin


@contextmanager
def linked(folder: Path) -> Iterator[Linked]:
    """Both servers and all services that the link leads to; the daemon is to be started."""
    two = platform(folder, keep=True)
    (link,) = two.topology.links("tunnel")
    with ExitStack() as stack:
        ports: dict[str, int] = {}
        for forward in (*link.local, *link.remote):
            ports[f"{forward.listen}:{forward.port}"] = free_port()
            if forward.listen == LOOPBACK:
                ports[f"{forward.host}:{forward.target}"] = free_port()
                continue
            service = stack.enter_context(_Services(("127.0.0.1", 0), _Told))
            threading.Thread(target=service.serve_forever, daemon=True).start()
            stack.callback(service.shutdown)
            ports[f"{forward.host}:{forward.target}"] = int(service.server_address[1])
        other = two.desired("tunnel-app").files
        one = two.desired("tunnel").files
        said = (other["link/served_logs.json"].content, one["link/collected_logs.json"].content)
        found = Linked(folder, link, ports, said)
        server, end = free_port(), free_port()
        found.wire = Wire(server)
        stack.callback(found.wire.close)

        def local(text: str) -> str:
            """A file of the platform with the addresses of this machine."""
            for place in sorted(ports, key=len, reverse=True):
                text = text.replace(place, f"127.0.0.1:{ports[place]}")
            return text.replace("127.0.0.1:2225", f"127.0.0.1:{end}")

        server_key = sshds.new_key(folder / "server" / "host_key")
        client = folder / "client"
        client.mkdir()

        def put() -> None:
            keyrings._opened.clear()  # as in a new process
            other = two.desired("tunnel-app").files
            one = two.desired("tunnel").files
            _server(
                folder / "end",
                other["ssh/ssh_host_ed25519_key"].content,
                local(other["ssh/authorized_keys"].content.decode()),
            )
            _server(folder / "server", None, local(two.link_account(APP)["authorized_keys"]))
            _private(client / "key", one["ssh/id_ed25519"].content)
            known = one["link/known_hosts"].content.decode()
            known = re.sub(rf"^{APP} .*", f"{APP} {server_key}", known, flags=re.MULTILINE)
            (client / "known_hosts").write_text(known)

        found.put = put
        put()
        other = two.desired("tunnel-app").files
        one = two.desired("tunnel").files
        config = re.sub(
            rf"^ *(?:{_ELSEWHERE}) .*\n", "", one["link/ssh_config"].content.decode(), flags=re.MULTILINE
        )
        config = (
            local(config).replace("192.0.2.20", "127.0.0.1").replace("Port 2022", f"Port {found.wire.port}")
        )
        config = config.replace("Port 2225", f"Port {end}")
        files = f"    IdentityFile {client}/key\n    UserKnownHostsFile {client}/known_hosts\n    User {sshds.USER}\n"
        found.config.write_text(config + files)
        account = two.link_account(APP)
        own = account["sshd_config"].replace(f"Match User {account['user']}", f"Match User {sshds.USER}")
        jump = f"UsePAM no\nAllowTcpForwarding yes\nPasswordAuthentication no\n{own}"
        stack.enter_context(
            sshds.running(folder / "server", sshds.here(jump, folder / "server", server), server)
        )
        served = local(other["ssh/sshd_config"].content.decode())
        stack.enter_context(sshds.running(folder / "end", sshds.here(served, folder / "end", end), end))
        stack.callback(found.stop)
        yield found


def _server(folder: Path, host_key: bytes | None, authorized: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if host_key is not None:
        _private(folder / "host_key", host_key)
    (folder / "authorized_keys").write_text(authorized)


def _private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
