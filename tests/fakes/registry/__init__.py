"""A container registry on a real socket that has one image, and can be told to answer wrongly or not to the end."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("etc/registry")
        entry.size = 4096
        archive.addfile(entry, io.BytesIO(os.urandom(4096)))  # no engine has it already
    return stream.getvalue()


class FakeRegistry:
    """Serves ``<address>/<any name>:<any tag>``; use it as a context manager.

    Attributes:
        fault: what is wrong: "" (nothing), "cut" (a layer ends early), "closed" (connections end without an answer), "digest" (a layer has
            other content), "html" (a page of a proxy instead of a manifest), "500", "404", "denied".
    """

    def __init__(self) -> None:
        self.fault = ""
        unpacked = _layer()
        layer = gzip.compress(unpacked, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["bash"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(unpacked)]},
                "history": [{"created_by": "a fake"}],
            }
        ).encode()
        self.blobs = {_digest(content): content for content in (layer, config)}
        self.layer = _digest(layer)
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
                "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
            }
        ).encode()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeRegistry:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    registry: FakeRegistry


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        registry = self.server.registry
        match registry.fault, self.path.strip("/").split("/"):
            case "closed", _:
                self.close_connection = True
            case "500", _:
                self._send(b"out of order", "text/plain", status=500)
            case _, ["v2"]:
                self._send(b"{}", "application/json")
            case "html", _:
                self._send(b"<html>Please log in to the network</html>", "text/html")
            case ("404" | "denied") as fault, [*_, "manifests", _tag]:
                code, status = {"404": ("MANIFEST_UNKNOWN", 404), "denied": ("DENIED", 403)}[fault]
                error = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
                self._send(json.dumps(error).encode(), "application/json", status=status)
            case _, [*_, "manifests", _reference]:
                self._send(registry.manifest, MANIFEST)
            case "cut", [*_, "blobs", digest] if digest == registry.layer:
                self._send(registry.blobs[digest], "application/octet-stream", sent=20)
                self.close_connection = True
            case "digest", [*_, "blobs", digest] if digest == registry.layer:
                self._send(bytes(len(registry.blobs[digest])), "application/octet-stream")
            case _, [*_, "blobs", digest] if digest in registry.blobs:
                self._send(registry.blobs[digest], "application/octet-stream")
            case _:
                self._send(b"{}", "application/json", status=404)

    def _send(self, body: bytes, kind: str, status: int = 200, sent: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", _digest(body))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
