# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An application on loopback that lists deploys and keeps how the services were, as the monitor tells it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a-token-that-nobody-may-see"


class FakeApplication:
    """Answers as the reference application does, or with ``status`` to everything.

    Attributes:
        rows: the deploys by their id, each with its number.
        history: what was told of the services, each time.
        requests: method, path and headers of each.
        status: of each answer; 0 for what fits.
        refuses: a method that it does not know.
        old: whether it is a release that takes whatever it knows for told twice.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.status = 0
        self.old = False
        self.refuses = ""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._answer(owner._posted)

            def do_PUT(self) -> None:
                self._answer(owner._put)

            def _answer(self, taken: Any) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.requests.append((self.command, self.path, dict(self.headers)))
                status = 404 if self.command == owner.refuses else owner.status
                status, answer = (status, None) if status else taken(self.path, body)
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.server_port

    def configure(self, path: Path, **changes: Any) -> None:
        """Write down where it is, as the monitor's container has it."""
        place = {"service": "backend", "host": "127.0.0.1", "port": self.port, "path": "/api/deployments"}
        path.write_text(json.dumps({**place, "history_path": "/api/history", "token": TOKEN, **changes}))

    def _posted(self, _path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        known = self.rows.get(body["deploy_id"])
        if known is None:
            known = self.rows[body["deploy_id"]] = {"id": len(self.rows) + 1, **body}
            return 201, known
        if known["status"] == "started" and body["status"] != "started" and not self.old:
            known.update(body)
        return 200, known

    def _put(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if path == "/api/history":
            self.history.append(body)
            return 204, None
        for row in self.rows.values():
            if path == f"/api/deployments/{row['id']}":
                row.update(body)
                return 200, row
        return 404, None
