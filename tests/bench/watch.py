#!/usr/bin/env python3
"""Measure what the monitor's watch costs while nothing happens: 20 services, one look each 5 s; prints one JSON object.

    python tests/bench/watch.py [--seconds 60]

The daemon is the real one, in a process of its own, with its snapshot, history and audit log; the services are small ones on
loopback. The exit status is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.dockfra.core.tests.unit.fake_services import FakeServices  # noqa: E402

# The bars: of one core, and MiB that are resident.
MAX_CPU = 0.01
MAX_MIB = 60.0

DAEMON = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ansible_collections.dockfra.core.tests.unit.watching import main
sys.exit(main(Path(sys.argv[2])))
"""


class Engine(http.server.BaseHTTPRequestHandler):
    """Lists 20 containers, with as much about each as an engine says."""

    protocol_version = "HTTP/1.1"
    listed = json.dumps(
        [
            {
                "Names": [f"/p-{n}"],
                "State": "running",
                "Status": "Up 3 hours (healthy)",
                "Labels": {"x": "y" * 2000},
            }
            for n in range(20)
        ]
    ).encode()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.listed)))
        self.end_headers()
        self.wfile.write(self.listed)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


def engine(folder: Path) -> http.server.ThreadingHTTPServer:
    """Serve an engine behind a gateway, and write down where it is."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = [f"{kind}-{n}" for kind, count in (("ssh", 8), ("web", 9), ("redis", 2)) for n in range(count)]
    entry = {
        "docker_host": "localhost",
        "gateway": "docker-gateway",
        "host": "127.0.0.1",
        "port": server.server_port,
        "containers": {name: f"p-{number}" for number, name in enumerate([*names, "traefik"])},
    }
    (folder / "docker.json").write_text(json.dumps([entry]))
    return server


def of_process(pid: int) -> tuple[float, float, int]:
    """Return CPU seconds, resident MiB and threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    ticks = sum(map(int, fields[11:15]))  # with those of its children
    return ticks / os.sysconf("SC_CLK_TCK"), kib / 1024, int(fields[17])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dockfra-bench-") as folder:
        services = FakeServices(Path(folder))
        docker = engine(Path(folder))
        for number in range(8):
            services.ssh(f"ssh-{number}")
        for number in range(9):
            services.http(f"web-{number}", {"/health": 200})
        for number in range(2):
            services.redis(f"redis-{number}", "secret")
        services.https("traefik", {"/health": 200})
        command = [sys.executable, "-c", DAEMON, str(ROOT / "collections"), folder]
        daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(12)  # its start, and the first looks
            before, _mib, _threads = of_process(daemon.pid)
            time.sleep(options.seconds)
            after, mib, threads = of_process(daemon.pid)
            seen = json.loads((Path(folder) / "watch.json").read_text())
            assert {service["state"] for service in seen["services"]} == {"up"}
            assert {service["container"]["health"] for service in seen["services"]} == {"healthy"}
        finally:
            daemon.terminate()
            daemon.wait()
            services.close()
            docker.shutdown()
        cpu = (after - before) / options.seconds
        found = {"services": 20, "seconds": options.seconds, "cpu": round(cpu, 5), "mib": round(mib, 1)}
        print(json.dumps({**found, "threads": threads}, indent=2))
        return int(cpu >= MAX_CPU or mib >= MAX_MIB)


if __name__ == "__main__":
    sys.exit(main())
