"""A folder of artifacts as the image build leaves it, and a platform for the client to look at."""

import hashlib
import json
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from desktop_app.app import create_app
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    entries = []
    for architecture in ("x86_64", "arm64"):
        name, content = f"dockfra-status-1.0.0-linux-{architecture}", architecture.encode() * 1000
        (tmp_path / name).write_bytes(content)
        entries.append(
            {
                "name": name,
                "version": "1.0.0",
                "architecture": architecture,
                "python": "CPython 3.13",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "built_at": "2026-01-01T00:00:00+00:00",
                "url": f"/artifacts/{name}",
            }
        )
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": entries}))
    (tmp_path / "secret").write_text("not for download")
    return tmp_path


@pytest.fixture
def server(artifacts: Path) -> TestClient:
    return TestClient(create_app(artifacts))


class FakePlatform:
    """A web server that gives prepared answers: path to (status, body)."""

    def __init__(self) -> None:
        service = {
            "service": "db",
            "port": 5432,
            "kind": "tcp",
            "state": "up",
            "latency_ms": 1.2,
            "detail": "ok",
        }
        deployment = {
            "id": 1,
            "service": "frontend",
            "version": "1.2.0",
            "status": "succeeded",
            "deployed_by": "monitor",
            "started_at": "2026-01-01T00:00:00Z",
            "finished_at": None,
            "note": "first",
        }
        device = {
            "id": "436234c9-82d7-4b95-8f18-73d83016aac8",
            "name": "rpi3",
            "kind": "edge",
            "architecture": "aarch64",
            "address": None,
            "version": "1.0.0",
            "last_seen": "2026-01-01T00:00:00Z",
        }
        self.service, self.deployment, self.device = service, deployment, device
        self.status = {
            "status": "ok",
            "cache": "hit",
            "checked_at": "2026-01-01T00:00:00Z",
            "services": [service],
            "asked": 1,
            "total": 3,
        }
        self.reported: list[tuple[str, str | None, object]] = []
        self.replaced: dict[str, tuple[int, bytes]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def use_tls(self, key: Path, certificate: Path) -> str:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        return self.url.replace("http:", "https:")

    def answer(self, path: str) -> tuple[int, bytes]:
        answers = {
            "/api/status": self.status,
            "/api/deployments": [self.deployment],
            "/api/devices": [self.device],
        }
        path = path.partition("?")[0]
        return self.replaced.get(path) or (200, json.dumps(answers[path]).encode())


def handler(fake: FakePlatform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = fake.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fake.reported.append((self.path, self.headers["Authorization"], json.loads(body)))
            status, body = fake.replaced.get(self.path, (200, b"{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    fake = FakePlatform()
    threading.Thread(target=fake.server.serve_forever, args=(0.01,), daemon=True).start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
