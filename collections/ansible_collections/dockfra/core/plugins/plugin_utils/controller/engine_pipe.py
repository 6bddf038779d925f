# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One end of a transfer of images: the program that runs on a Docker host, with its engine on one side and a pipe on the other.

It is sent to the host as text (see `shipping`), so it needs Python's library and nothing else: a Docker host may lack Docker's own
client. Its words are a verb and image references.

- ``look NAME…`` prints one JSON object: what the engine has of these images, and the room where it keeps them.
- ``save NAME…`` writes the images to its output as one archive, in frames.
- ``load`` reads such frames and gives them to the engine, then prints one JSON object with ``error``.

A frame is a length of four bytes and that many bytes; an empty one ends the archive. An archive that ends without is not given to
the engine to its end, so half of one is never taken for the whole.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

FRAME = struct.Struct(">L")
BLOCK = 1024 * 1024
LABEL_CONTENT = "dockfra.content"  # as in `labels`, which does not come along

_SOCKET = "/var/run/docker.sock"
_PATIENCE = 900  # seconds for one answer of the engine, which unpacks all of an archive before it
_MAX_ANSWER = 8 * 1024 * 1024
_FULL = "no space left on device"


class PipeError(Exception):
    """The engine, or the other end, did not do its part; the message says what."""


class _Socket(http.client.HTTPConnection):
    """HTTP over a unix socket, whose path stands for the host."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)

    def _get_hostport(self, host: str, port: int | None) -> tuple[str, int]:
        return host, 0  # a path may have colons


def connect() -> http.client.HTTPConnection:
    """Return a connection to the engine that ``DOCKER_HOST`` names, else to the local one."""
    address = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    scheme, _separator, rest = address.partition("://")
    if scheme == "unix":
        return _Socket(rest, timeout=_PATIENCE)
    if scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY"):
        return http.client.HTTPConnection(rest, timeout=_PATIENCE)
    raise PipeError(f"images are not sent through DOCKER_HOST={address}; use the engine's socket")


def ask(path: str) -> Any:
    """Return what the engine says to a question; None where it does not have that."""
    connection = connect()
    try:
        connection.request("GET", path, headers={"Host": "docker"})
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
    finally:
        connection.close()
    if answer.status == 404:
        return None
    if answer.status >= 300:
        raise PipeError(reason(body) or f"HTTP {answer.status}")
    return json.loads(body)


def look(names: Sequence[str]) -> dict[str, Any]:
    """Return what the engine has of these images, and how many bytes are free where it keeps images (None where that is not seen)."""
    images = {}
    for name in names:
        found = ask(f"/images/{urllib.parse.quote(name)}/json")
        if found:
            images[name] = {
                "id": found["Id"],
                "size": found.get("Size") or 0,
                "layers": (found.get("RootFS") or {}).get("Layers") or [],
                "content": ((found.get("Config") or {}).get("Labels") or {}).get(LABEL_CONTENT) or "",
            }
    root = (ask("/info") or {}).get("DockerRootDir") or ""
    try:
        room = os.statvfs(root)
    except OSError:
        return {"images": images, "root": root, "free": None}
    return {"images": images, "root": root, "free": room.f_bavail * room.f_frsize}


def save(names: Sequence[str], output: BinaryIO) -> None:
    """Write the images as framed blocks."""
    connection = connect()
    query = urllib.parse.urlencode([("names", name) for name in names])
    connection.request("GET", f"/images/get?{query}", headers={"Host": "docker"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise PipeError(reason(answer.read(_MAX_ANSWER)) or f"HTTP {answer.status}")
    while block := answer.read(BLOCK):
        output.write(FRAME.pack(len(block)) + block)
    output.write(FRAME.pack(0))
    output.flush()


def frames(stream: BinaryIO) -> Iterator[bytes]:
    """The blocks of an archive; raises PipeError where it ends before its end."""
    while True:
        head = stream.read(FRAME.size)
        if len(head) < FRAME.size:
            raise PipeError("the archive ended before its end")
        (length,) = FRAME.unpack(head)
        if not length:
            return
        if length > BLOCK:
            raise PipeError("what comes is no archive of images")
        block = stream.read(length)
        if len(block) < length:
            raise PipeError("the archive ended before its end")
        yield block


def load(stream: BinaryIO) -> None:
    """Give an archive to the engine; raises PipeError where it does not take all of it."""
    connection = connect()
    headers = {"Host": "docker", "Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
    # It may answer before all of it has come, and its answer says why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request(
            "POST", "/images/load?quiet=1", body=frames(stream), headers=headers, encode_chunked=True
        )
    answer = connection.getresponse()
    body = answer.read(_MAX_ANSWER)
    wrong = reason(body)
    if wrong or answer.status != 200:
        raise PipeError(wrong or f"HTTP {answer.status}")


def reason(body: bytes) -> str:
    """The first error in an answer, which may be an object or one on each line; status 200 says nothing yet."""
    for line in body.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and (wrong := said.get("error") or said.get("message")):
            return str(wrong)
    return ""


def main(words: Sequence[str]) -> int:
    """Do what the words say; an error is a JSON object, on the output unless the archive goes there."""
    verb, names = words[0], words[1:]
    told = sys.stderr if verb == "save" else sys.stdout
    try:
        if verb == "look":
            said = look(names)
        elif verb == "save":
            save(names, sys.stdout.buffer)
            return 0
        else:
            load(sys.stdin.buffer)
            said = {"error": ""}
    except (PipeError, OSError, ValueError, http.client.HTTPException) as error:
        said = {"error": str(error) or type(error).__name__}
    said["full"] = _FULL in str(said.get("error"))
    told.write(json.dumps(said) + "\n")
    told.flush()
    return 1 if said.get("error") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
