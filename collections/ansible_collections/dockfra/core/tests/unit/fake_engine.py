# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A Docker Engine that answers over a real unix socket and can be told what it has.

It speaks the part of the API (1.41) that the collection uses itself: it is read from, gives images, and takes images that are imported
or loaded. Each request is recorded.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import socketserver
import struct
import tarfile
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

API_VERSION = "1.41"
SECOND = 1_000_000_000


def identity(name: str) -> str:
    """A stable id of 64 hex digits."""
    return hashlib.sha256(name.encode()).hexdigest()


def image(reference: str, **config: Any) -> dict[str, Any]:
    """What ``GET /images/{name}/json`` says of an image."""
    return {
        "Id": f"sha256:{identity(reference)}",
        "RepoTags": [reference],
        "Config": {"Env": ["PATH=/usr/bin"], "Cmd": None, "Entrypoint": ["/entrypoint"], **config},
    }


def container(spec: Mapping[str, Any], made_from: Mapping[str, Any], **state: Any) -> dict[str, Any]:
    """What ``GET /containers/{id}/json`` says of a container that ``docker_container`` made from a specification.

    Args:
        spec: a container specification of the planner.
        made_from: its image, see `image`.
        state: differs from a healthy container's.
    """
    name = spec["name"]
    config = made_from["Config"]
    environment = dict(entry.split("=", 1) for entry in config["Env"]) | dict(spec["env"])
    health = spec.get("healthcheck")
    bindings: dict[str, list[dict[str, str]]] = {}
    for place in spec["published_ports"]:
        address, outside, inside = place.rsplit(":", 2)
        bindings.setdefault(inside, []).append({"HostIp": address.strip("[]"), "HostPort": outside})
    identifier = identity(f"container {name}")
    return {
        "Id": identifier,
        "Name": f"/{name}",
        "Image": made_from["Id"],
        "RestartCount": 0,
        "State": {
            "Status": "running",
            **({"Health": {"Status": "healthy", "Log": []}} if health else {}),
            **state,
        },
        "Config": {
            "Hostname": spec["hostname"],
            "User": spec["user"],
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Cmd": spec.get("command") or config["Cmd"],
            "Entrypoint": config["Entrypoint"],
            "Labels": {**(config.get("Labels") or {}), **spec["labels"]},
            "Tty": False,
            "StopTimeout": spec.get("stop_timeout"),
            **(
                {
                    "Healthcheck": {
                        "Test": health["test"],
                        "Interval": int(health["interval"].rstrip("s")) * SECOND,
                        "Timeout": int(health["timeout"].rstrip("s")) * SECOND,
                        "StartPeriod": int(health["start_period"].rstrip("s")) * SECOND,
                    }
                }
                if health
                else {}
            ),
        },
        "HostConfig": {
            "NetworkMode": spec["networks"][0]["name"],
            "Tmpfs": dict(entry.split(":", 1) for entry in spec["tmpfs"]),
            "PortBindings": bindings,
            "ReadonlyRootfs": spec["read_only"],
            "Privileged": False,
            "CapAdd": list(spec.get("capabilities") or ()) or None,
            "CapDrop": spec["cap_drop"],
            "SecurityOpt": spec["security_opts"],
            "GroupAdd": [str(group) for group in spec.get("groups") or ()] or None,
            "Devices": None,
            "Memory": spec["memory"],
            "MemorySwap": spec.get("memory_swap", spec["memory"]),
            "PidsLimit": spec["pids_limit"],
            "CpuShares": spec.get("cpu_shares", 0),
            "Sysctls": spec.get("sysctls") or None,
            "Init": spec["init"],
            "RestartPolicy": {"Name": spec["restart_policy"], "MaximumRetryCount": 0},
            "LogConfig": {"Type": spec["log_driver"], "Config": spec["log_options"]},
        },
        "Mounts": [
            {
                "Type": mount["type"],
                "Source": mount["source"],
                "Destination": mount["target"],
                "RW": not mount["read_only"],
                **({"Name": mount["source"]} if mount["type"] == "volume" else {}),
            }
            for mount in spec["mounts"]
        ],
        "NetworkSettings": {
            "Networks": {
                network["name"]: {"Aliases": [*network["aliases"], identifier[:12], spec["hostname"]]}
                for network in spec["networks"]
            }
        },
    }


def network(
    name: str, project: str = "", internal: bool = False, ipv6: bool = False, *subnets: str
) -> dict[str, Any]:
    """What ``GET /networks`` says of a network."""
    return {
        "Id": identity(f"network {name}"),
        "Name": name,
        "Internal": internal,
        "EnableIPv6": ipv6,
        "IPAM": {"Config": [{"Subnet": subnet} for subnet in ["172.30.0.0/16", *subnets]]},
        "Labels": {"dockfra.project": project} if project else {},
    }


class FakeEngine:
    """The engine's state and its server; use it as a context manager.

    Attributes:
        containers: what `container` returns, by name.
        networks: what `network` returns, by name.
        volumes: the labels of each volume, by name.
        images: what `image` returns, by reference.
        logs: a container's log, by name.
        files: what is in a container's files, by its name and their paths.
        imported: the paths of each image that was imported, by reference.
        refuse_import: what is answered to an import, after it was read, instead of success.
        root: where it keeps images; nowhere that is seen by default.
        refuse_load: the end of the answer to images that are loaded, of which none is there afterwards.
        forgets: references of loaded images that are not there afterwards, though nothing says so.
        ballast: bytes with which an archive of images is made larger.
        cut: bytes after which an archive that is asked for ends; all of it by default.
        refuse: HTTP status by the beginning of a path (without the version) that is answered with an error.
        requests: method and path of each request.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.imported: dict[str, list[str]] = {}
        self.refuse_import = ""
        self.root = ""
        self.refuse_load = ""
        self.forgets: set[str] = set()
        self.ballast = 0
        self.cut: int | None = None
        self.refuse: dict[str, int] = {}
        self.requests: list[str] = []
        self._server = _Server(str(socket), _Handler)
        self._server.engine = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def add(self, *details: dict[str, Any]) -> None:
        """Have containers."""
        for entry in details:
            self.containers[entry["Name"].lstrip("/")] = entry

    def apply(self, spec: Mapping[str, Any], **state: Any) -> dict[str, Any]:
        """Do what ``docker_container`` would do for a specification; an image that is missing is there afterwards."""
        made_from = self.images.setdefault(spec["image"], image(spec["image"]))
        details = container(spec, made_from, **state)
        self.add(details)
        return details

    def find(self, reference: str) -> dict[str, Any] | None:
        """A container by name or id."""
        for name, details in self.containers.items():
            if reference in (name, details["Id"]):
                return details
        return None

    def image_of(self, reference: str) -> dict[str, Any] | None:
        """An image by tag or id."""
        return self.images.get(reference) or next(
            (entry for entry in self.images.values() if entry["Id"] == reference), None
        )

    def __enter__(self) -> FakeEngine:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    engine: FakeEngine


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "unix"  # the client of a unix socket has no address

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet; `FakeEngine.requests` has it all."""

    def do_GET(self) -> None:
        engine = self.server.engine
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        engine.requests.append(f"GET {path}")
        for prefix, status in engine.refuse.items():
            if path.startswith(prefix):
                return self._answer({"message": f"refused with {status}"}, status)
        parts = path.strip("/").split("/")
        match parts:
            case ["_ping"]:
                return self._send(b"OK", 200, "text/plain")
            case ["version"]:
                return self._answer({"Version": "20.10.24", "ApiVersion": API_VERSION})
            case ["containers", "json"]:
                return self._answer([_listed(entry) for entry in engine.containers.values()])
            case ["containers", name, "json"] if engine.find(name):
                return self._answer(engine.find(name))
            case ["containers", name, "logs"] if engine.find(name):
                return self._log(engine.find(name), self.path)
            case ["containers", name, "archive"] if (file := self._file(name)) is not None:
                return self._send(file, 200, "application/x-tar")
            case ["networks"]:
                return self._answer(self._filtered(list(engine.networks.values())))
            case ["volumes"]:
                volumes = [{"Name": name, "Labels": labels} for name, labels in engine.volumes.items()]
                return self._answer({"Volumes": self._filtered(volumes) or None, "Warnings": None})
            case ["images", "json"]:
                images = [
                    {"Id": entry["Id"], "RepoTags": [tag], "Labels": entry["Config"].get("Labels")}
                    for tag, entry in engine.images.items()
                ]
                return self._answer(self._filtered(images))
            case ["info"]:
                return self._answer({"DockerRootDir": engine.root})
            case ["images", "get"]:
                return self._save()
            case ["images", *name, "json"] if found := engine.image_of("/".join(name)):
                return self._answer(found)
            case ["images", *name, "json"]:
                return self._answer({"message": f"No such image: {'/'.join(name)}"}, 404)
        return self._answer({"message": f"No such container: {path}"}, 404)

    def do_POST(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        if path.endswith("/images/create"):
            return self._import()
        if path.endswith("/images/load"):
            return self._load()
        return self._changed("POST")

    def do_DELETE(self) -> None:
        self._changed("DELETE")

    def _import(self) -> None:
        engine = self.server.engine
        address = urllib.parse.urlsplit(self.path)
        engine.requests.append(f"POST /{address.path.split('/', 2)[2]}")
        query = dict(urllib.parse.parse_qsl(address.query))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            names = sorted(archive.getnames())
        if engine.refuse_import:
            return self._answer({"error": engine.refuse_import})
        reference = f"{query['repo']}:{query['tag']}"
        engine.imported[reference] = names
        engine.images[reference] = image(reference)
        return self._answer({"status": engine.images[reference]["Id"]})

    def _save(self) -> None:
        """An archive of images, in pieces as the engine sends it: what they are, and ballast."""
        engine = self.server.engine
        names = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["names"]
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            known = json.dumps({name: engine.images[name] for name in names}).encode()
            for member, content in (("ballast", bytes(engine.ballast)), ("images.json", known)):
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        packed = stream.getvalue()[: engine.cut]
        for start in range(0, len(packed), 65536):
            piece = packed[start : start + 65536]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if engine.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = engine.cut is not None

    def _load(self) -> None:
        """Take an archive that `_save` has made, all of it or nothing."""
        engine = self.server.engine
        engine.requests.append("POST /images/load")
        packed = b""
        while length := int(self.rfile.readline() or b"-1", 16):
            if length < 0:
                return None  # nobody is there any more
            packed += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        if engine.refuse_load:
            # As the engine does it: with status 200.
            said = {"errorDetail": {"message": engine.refuse_load}, "error": engine.refuse_load}
            return self._send(
                f'{{"stream":"Loading"}}\r\n{json.dumps(said)}'.encode(), 200, "application/json"
            )
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            member = archive.extractfile("images.json")
            assert member
            images = json.loads(member.read())
        engine.images |= {name: found for name, found in images.items() if name not in engine.forgets}
        return self._answer({"stream": "Loaded"})

    def _changed(self, method: str) -> None:
        """Stop, or remove; that somebody uses it is refused as the engine does."""
        engine = self.server.engine
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        kind, *name = path.split("/", 2)[2].split("/")
        reference = "/".join(name)
        engine.requests.append(f"{method} /{kind}/{reference}")
        if method == "POST":
            return self._send(b"", 204, "text/plain")
        if kind == "containers" and (details := engine.find(reference)):
            del engine.containers[details["Name"].lstrip("/")]
        elif kind == "networks":
            engine.networks = {
                key: entry for key, entry in engine.networks.items() if entry["Id"] != reference
            }
        elif kind == "volumes":
            del engine.volumes[reference]
        elif any(entry["Image"] == engine.images[reference]["Id"] for entry in engine.containers.values()):
            return self._answer({"message": "conflict: image is being used"}, 409)
        else:
            del engine.images[reference]
            return self._answer([])
        return self._send(b"", 204, "text/plain")

    def _filtered(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        wanted = json.loads(query.get("filters", ["{}"])[0]).get("label", [])
        pairs = [label.split("=", 1) for label in wanted]
        return [
            entry
            for entry in entries
            if all((entry.get("Labels") or {}).get(key) == value for key, value in pairs)
        ]

    def _file(self, container: str) -> bytes | None:
        """A file of a container as the engine sends it."""
        [path] = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["path"]
        content = self.server.engine.files.get((container, path))
        if content is None:
            return None
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        return packed.getvalue()

    def _log(self, details: Mapping[str, Any] | None, path: str) -> None:
        assert details is not None
        lines = self.server.engine.logs.get(details["Name"].lstrip("/"), "").splitlines(keepends=True)
        tail = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query).get("tail", ["all"])[0]
        kept = lines if tail == "all" else lines[-int(tail) :]
        # One frame a line, as for a container without a terminal: stream, three bytes of padding, length.
        frames = b"".join(struct.pack(">BxxxL", 1, len(line.encode())) + line.encode() for line in kept)
        self._send(frames, 200, "application/vnd.docker.raw-stream")

    def _answer(self, body: Any, status: int = 200) -> None:
        self._send(json.dumps(body).encode(), status, "application/json")

    def _send(self, body: bytes, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _listed(details: Mapping[str, Any]) -> dict[str, Any]:
    """A container as ``GET /containers/json`` lists it."""
    bindings = details["HostConfig"].get("PortBindings") or {}
    running = details["State"]["Status"] == "running"
    return {
        "Id": details["Id"],
        "Names": [details["Name"]],
        "Image": details["Image"],
        "ImageID": details["Image"],
        "NetworkSettings": {"Networks": (details.get("NetworkSettings") or {}).get("Networks") or {}},
        "Mounts": details.get("Mounts") or [],
        "Labels": details["Config"].get("Labels") or {},
        "State": details["State"]["Status"],
        "Status": _status(details["State"]),
        "Ports": [
            {
                "IP": entry["HostIp"],
                "PrivatePort": int(port.split("/")[0]),
                "PublicPort": int(entry["HostPort"]),
                "Type": "tcp",
            }
            for port, entries in bindings.items()
            for entry in entries
            if running
        ],
    }


def _status(state: Mapping[str, Any]) -> str:
    """A state as a list has it for people."""
    health = (state.get("Health") or {}).get("Status", "")
    match state["Status"]:
        case "running":
            word = "health: starting" if health == "starting" else health
            return "Up 3 minutes" + (f" ({word})" if word else "")
        case "paused":
            return "Up 3 minutes (Paused)"
        case "exited":
            return f"Exited ({state.get('ExitCode', 0)}) 2 hours ago"
        case "restarting":
            return f"Restarting ({state.get('ExitCode', 0)}) 5 seconds ago"
    return str(state["Status"]).capitalize()
