"""Relays a connection for ssh (ProxyCommand): before it hands on the server's message with a number, it says so and waits.

usage: paused.py PORT NUMBER FOLDER; makes FOLDER/there, and goes on when FOLDER/on is there.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from pathlib import Path


def main(port: str, number: str, folder: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port))) as server:
        messages = 0
        while True:
            ready, _write, _error = select.select([server.fileno(), 0], [], [])
            if 0 in ready:
                if not (data := os.read(0, 65536)):
                    return
                server.sendall(data)
            if server.fileno() in ready:
                if not (data := server.recv(65536)):
                    return
                messages += 1
                if messages == int(number):
                    wait(Path(folder))
                os.write(1, data)


def wait(folder: Path) -> None:
    (folder / "there").touch()
    deadline = time.monotonic() + 30
    while not (folder / "on").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


main(*sys.argv[1:])
