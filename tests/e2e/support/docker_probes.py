"""What nobody may ask of the Docker gateway, byte by byte, and how to ask it. Also runs by itself, inside a container.

By itself it reads ``{"address", "port", "probes": [[name, text]]}`` as JSON from standard input and prints what each was answered:
``[[name, status, body]]``. It imports nothing that an image may lack.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

# Of a container of the platform's own: name, id and the platform; of another platform's: name, id, and an id's beginning.
Names = dict[str, str]

SECONDS = 15.0


def ask(address: str, port: int, text: str) -> tuple[int, str]:
    """Send these bytes (Latin-1) and return (status, body); status 0 where the connection ends without an answer."""
    answer = b""
    with socket.create_connection((address, port), timeout=SECONDS) as connection:
        try:
            connection.sendall(text.encode("latin-1"))
            # A request that was admitted after all may be answered without an end: its status is enough.
            while len(answer) < 65536 and (part := connection.recv(65536)):
                answer += part
        except (ConnectionError, TimeoutError):
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split()
    known = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    return int(words[1]) if known else 0, body.decode(errors="replace")


def request(method: str, target: str, *headers: str, body: str = "") -> str:
    """The text of a request; a body has its length, unless headers say something of it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", *headers]
    if body and not any(header.lower().startswith(("content-length", "transfer-enc")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    if body:
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", body])


def _create(**settings: object) -> str:
    return json.dumps({"Image": "debian:trixie-slim", "Cmd": ["true"], "HostConfig": settings})


def probes(names: Names) -> dict[str, str]:
    """Every probe's text, by name.

    Args:
        names: ``own``, ``own_id``, ``project``, ``other``, ``other_id``, ``other_short`` as described above.
    """
    own, identity, project = names["own"], names["own_id"], names["project"]
    other, other_id, other_short = names["other"], names["other_id"], names["other_short"]
    privileged = _create(Privileged=True)
    of_others = json.dumps({"label": [f"dockfra.project={project}-other"], "before": [other]})
    networks = json.dumps({"type": ["network"]})
    return {
        # Containers that somebody makes
        "create": request("POST", "/containers/create?name=probe", body=_create()),
        "create, with a version": request("POST", "/v1.41/containers/create?name=probe", body=_create()),
        "create, privileged": request("POST", "/v1.41/containers/create", body=privileged),
        "create, with the host's root": request("POST", "/containers/create", body=_create(Binds=["/:/host"])),
        "create, with the host's processes": request("POST", "/containers/create", body=_create(PidMode="host")),
        "create, with the host's network": request("POST", "/containers/create", body=_create(NetworkMode="host")),
        "create, with the host's memory": request("POST", "/containers/create", body=_create(IpcMode="host")),
        "create, with the host's users": request("POST", "/containers/create", body=_create(UsernsMode="host")),
        "create, with the socket": request(
            "POST", "/containers/create", body=_create(Binds=["/var/run/docker.sock:/d"])
        ),
        "create, with a device": request(
            "POST", "/containers/create", body=_create(Devices=[{"PathOnHost": "/dev/sda", "PathInContainer": "/x"}])
        ),
        "create, with capabilities": request("POST", "/containers/create", body=_create(CapAdd=["ALL"])),
        "create, in somebody's processes": request(
            "POST", "/containers/create", body=_create(PidMode=f"container:{own}")
        ),
        # What else can be done with a container
        "exec": request("POST", f"/containers/{own}/exec", body='{"Cmd": ["id"], "AttachStdout": true}'),
        "exec, privileged": request("POST", f"/v1.41/containers/{identity}/exec", body='{"Privileged": true, "Cmd": ["id"]}'),
        "exec, its start": request("POST", f"/exec/{identity}/start", body='{"Detach": false}'),
        "exec, its size": request("POST", f"/exec/{identity}/resize?h=1&w=1"),
        "exec, inspected": request("GET", f"/exec/{identity}/json"),
        "attach": request("POST", f"/containers/{own}/attach?stream=1&stdin=1&stdout=1"),
        "attach, with the API's oldest form": request("POST", f"/v1.24/containers/{own}/attach?stream=1&stdin=1"),
        "attach, by WebSocket": request("GET", f"/containers/{own}/attach/ws?stream=1"),
        "archive, read": request("GET", f"/containers/{own}/archive?path=/etc"),
        "archive, looked at": request("HEAD", f"/containers/{own}/archive?path=/etc/shadow"),
        "archive, written": request("PUT", f"/containers/{own}/archive?path=/", body="x"),
        "copy": request("POST", f"/containers/{own}/copy", body='{"Resource": "/etc/shadow"}'),
        "export": request("GET", f"/containers/{own}/export"),
        "changes": request("GET", f"/containers/{own}/changes"),
        "commit": request("POST", f"/commit?container={own}&repo=probe"),
        "kill": request("POST", f"/containers/{own}/kill?signal=KILL"),
        "pause": request("POST", f"/containers/{own}/pause"),
        "unpause": request("POST", f"/containers/{own}/unpause"),
        "wait": request("POST", f"/containers/{own}/wait"),
        "rename": request("POST", f"/containers/{own}/rename?name=probe"),
        "update": request("POST", f"/containers/{own}/update", body='{"Memory": 0}'),
        "resize": request("POST", f"/containers/{own}/resize?h=1&w=1"),
        "remove": request("DELETE", f"/containers/{own}"),
        "remove, by force": request("DELETE", f"/v1.41/containers/{own}?force=1&v=1"),
        "prune": request("POST", "/containers/prune"),
        "checkpoints": request("GET", f"/containers/{own}/checkpoints"),
        "checkpoint": request("POST", f"/containers/{own}/checkpoints", body='{"CheckpointID": "x"}'),
        # Images and builds
        "build": request("POST", "/build?t=probe", "Transfer-Encoding: chunked", body="1\r\nx\r\n0\r\n\r\n"),
        "build, from elsewhere": request("POST", "/build?remote=http://127.0.0.1/&networkmode=host"),
        "build, its cache": request("POST", "/build/prune"),
        "build, its session": request("POST", "/session", "Upgrade: h2c", "Connection: Upgrade"),
        "build, by gRPC": request("POST", "/grpc", "Upgrade: h2c", "Connection: Upgrade"),
        "images": request("GET", "/images/json"),
        "image, pulled": request("POST", "/images/create?fromImage=debian&tag=latest"),
        "image, loaded": request("POST", "/images/load", body="x"),
        "image, saved": request("GET", "/images/debian:trixie-slim/get"),
        "image, tagged": request("POST", "/images/debian/tag?repo=probe"),
        "image, pushed": request("POST", "/images/debian/push"),
        "image, removed": request("DELETE", "/images/debian"),
        "image, inspected": request("GET", "/images/debian/json"),
        "images, pruned": request("POST", "/images/prune"),
        # Volumes and networks
        "volumes": request("GET", "/volumes"),
        "volume, made of the host's root": request(
            "POST", "/volumes/create", body='{"Name": "probe", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}'
        ),
        "volume, removed": request("DELETE", f"/volumes/{project}-db-data?force=1"),
        "volumes, pruned": request("POST", "/volumes/prune"),
        "networks": request("GET", "/networks"),
        "network, made": request("POST", "/networks/create", body='{"Name": "probe"}'),
        "network, joined": request("POST", f"/networks/{project}-backend-net/connect", body=f'{{"Container": "{own}"}}'),
        "network, left": request("POST", f"/networks/{project}-backend-net/disconnect", body=f'{{"Container": "{own}"}}'),
        "network, removed": request("DELETE", f"/networks/{project}-backend-net"),
        "networks, pruned": request("POST", "/networks/prune"),
        # The engine, its plugins, a swarm
        "plugins": request("GET", "/plugins"),
        "plugin, installed": request("POST", "/plugins/pull?remote=probe", body="[]"),
        "plugin, enabled": request("POST", "/plugins/probe/enable"),
        "plugin, made": request("POST", "/plugins/create?name=probe", body="x"),
        "swarm": request("GET", "/swarm"),
        "swarm, made": request("POST", "/swarm/init", body='{"ListenAddr": "0.0.0.0:2377"}'),
        "swarm, joined": request("POST", "/swarm/join", body="{}"),
        "swarm, left": request("POST", "/swarm/leave?force=1"),
        "swarm, its key": request("GET", "/swarm/unlockkey"),
        "service, made": request("POST", "/services/create", body="{}"),
        "services": request("GET", "/services"),
        "nodes": request("GET", "/nodes"),
        "tasks": request("GET", "/tasks"),
        "secrets": request("GET", "/secrets"),
        "configs": request("GET", "/configs"),
        "info": request("GET", "/info"),
        "disk": request("GET", "/system/df"),
        "auth": request("POST", "/auth", body='{"username": "x", "password": "y"}'),
        "distribution": request("GET", "/distribution/debian/json"),
        "profile": request("GET", "/debug/pprof/goroutine?debug=2"),
        "metrics": request("GET", "/metrics"),
        "root": request("GET", "/"),
        # Paths that are not what they look like
        "a slash that is encoded": request("GET", f"/containers/{own}%2Fjson"),
        "a slash that is encoded, small": request("GET", f"/containers%2f{own}/json"),
        "a slash that is encoded twice": request("GET", f"/containers/{own}%252Fjson"),
        "a letter that is encoded": request("GET", f"/%63ontainers/{own}/json"),
        "a name with the engine's slash": request("GET", f"/containers/%2F{own}/json"),
        "two slashes": request("GET", f"//containers/{own}/json"),
        "two slashes within": request("GET", f"/containers//{own}/json"),
        "two slashes at the end": request("POST", f"/containers/{own}//start"),
        "two slashes and another verb": request("POST", f"/containers/{own}//exec"),
        "a slash behind": request("GET", f"/containers/{own}/json/"),
        "a dot": request("GET", f"/./containers/{own}/json"),
        "up from the root": request("GET", "/../info"),
        "up from a version": request("GET", "/v1.41/../info"),
        "up from a container": request("GET", f"/containers/{own}/../../info"),
        "up from a container to another": request("POST", f"/containers/{own}/../{other}/stop"),
        "up, encoded": request("GET", f"/containers/{own}/%2e%2e/%2e%2e/info"),
        "up, half encoded": request("GET", "/containers/.%2e/info"),
        "up behind a verb": request("POST", f"/containers/{own}/json/../exec"),
        "a backslash": request("GET", f"/containers\\{own}\\json"),
        "an end that is encoded": request("GET", f"/containers/{own}/json%00"),
        "a line that is encoded": request("GET", f"/containers/{own}/json%0d%0aX:%20y"),
        "a fragment": request("GET", f"/containers/{own}/json#/exec"),
        "a parameter of the path": request("GET", f"/containers/{own}/json;x=y"),
        "capitals": request("GET", f"/Containers/{own}/JSON"),
        "two versions": request("GET", "/v1.41/v1.41/containers/json"),
        "a version without meaning": request("GET", "/v2.0/containers/json"),
        "a version with zeros": request("GET", "/v1.041/containers/json"),
        "a whole address": request("GET", "http://docker/containers/json"),
        "a whole address of another": request("GET", "http://127.0.0.1:2375/info"),
        "a long name": request("GET", f"/containers/{'a' * 200}/json"),
        # Methods
        "a method that changes where one reads": request("POST", f"/containers/{own}/json"),
        "a method that reads where one changes": request("GET", f"/containers/{own}/restart"),
        "HEAD where only a ping has it": request("HEAD", f"/containers/{own}/json"),
        "PUT": request("PUT", f"/containers/{own}/start"),
        "PATCH": request("PATCH", f"/containers/{own}/start"),
        "DELETE": request("DELETE", f"/containers/{own}/stop"),
        "OPTIONS": request("OPTIONS", "/containers/json"),
        "OPTIONS of all": request("OPTIONS", "*"),
        "TRACE": request("TRACE", "/containers/json"),
        "CONNECT": request("CONNECT", "127.0.0.1:2375"),
        "small letters": request("post", f"/containers/{own}/restart"),
        "a method of one's own": request("START", f"/containers/{own}/start"),
        "another method in a header": request("GET", f"/containers/{own}", "X-HTTP-Method-Override: DELETE"),
        # More than a question and an answer
        "upgrade to tcp": request("GET", "/events", "Upgrade: tcp", "Connection: Upgrade"),
        "upgrade to tcp at a start": request("POST", f"/containers/{own}/start", "Upgrade: tcp", "Connection: Upgrade"),
        "upgrade to HTTP/2": request(
            "GET", "/_ping", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings"
        ),
        "upgrade to a WebSocket": request(
            "GET", f"/containers/{own}/logs?follow=1&stdout=1", "Upgrade: websocket", "Connection: keep-alive, Upgrade"
        ),
        "an upgrade without a Connection": request("GET", "/version", "Upgrade: tcp"),
        "a Connection without an upgrade": request("GET", "/version", "Connection: upgrade"),
        "HTTP/2 from the start": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "a promise of more": request("POST", f"/containers/{own}/start", "Expect: 100-continue", "Content-Length: 4"),
        "a body of a GET": request("GET", "/containers/json", body="{}"),
        "a body of a start": request("POST", f"/containers/{own}/start", body='{"Binds": ["/:/host"]}'),
        "a body of a start, old": request("POST", f"/v1.23/containers/{own}/start", body='{"Binds": ["/:/host"]}'),
        "a body of a start, oldest": request("POST", f"/v1.12/containers/{own}/start", body='{"Privileged": true}'),
        "a body in pieces": request(
            "POST", f"/containers/{own}/start", "Transfer-Encoding: chunked", body="2\r\n{}\r\n0\r\n\r\n"
        ),
        "a body of two lengths": request(
            "POST", f"/containers/{own}/start", "Content-Length: 0", "Content-Length: 60", body=" " * 60
        ),
        "a body of a length and in pieces": request(
            "POST",
            f"/containers/{own}/start",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            body="2\r\n{}\r\n0\r\n\r\n",
        ),
        "a length with a sign": request("POST", f"/containers/{own}/start", "Content-Length: +2", body="{}"),
        "a header of two lines": request("GET", "/version", "X: y\r\n Upgrade: tcp\r\nUpgrade: tcp"),
        "a header with a blank": request("POST", f"/containers/{own}/start", "Transfer-Encoding : chunked", body="0\r\n\r\n"),
        "no host": "GET /containers/json HTTP/1.1\r\n\r\n",
        "a request without end": f"GET /{'a' * 70000} HTTP/1.1\r\nHost: docker\r\n\r\n",
        "headers without end": request("GET", "/version", *(f"X-{number}: {'y' * 90}" for number in range(700))),
        "no HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40 + "\r\n\r\n",
        # Parameters
        "a checkpoint to start from": request("POST", f"/containers/{own}/start?checkpoint=x&checkpoint-dir=/tmp"),
        "a signal to stop with": request("POST", f"/containers/{own}/stop?signal=SIGKILL"),
        "a stop without end": request("POST", f"/containers/{own}/stop?t=-1"),
        "a stop that takes for ever": request("POST", f"/containers/{own}/restart?t=86400"),
        "a process's environment": request("GET", f"/containers/{own}/top?ps_args=auxe"),
        "a process's environment, by its column": request("GET", f"/containers/{own}/top?ps_args=-eo%20pid,environ"),
        "another option of ps": request("GET", f"/containers/{own}/top?ps_args=-ef%20--sort%20x"),
        "a parameter twice": request("GET", "/containers/json?all=0&all=1"),
        "filters twice": request("GET", "/containers/json?filters={}&filters={}"),
        "a filter that looks for others": request("GET", f"/containers/json?filters={_quoted(of_others)}"),
        "a filter of no kind": request("GET", "/containers/json?filters=[]"),
        "a filter that is no JSON": request("GET", "/containers/json?filters={"),
        "a filter without end": request("GET", f"/containers/json?filters={'[' * 9000}"),
        "events of networks": request("GET", f"/events?until=1&filters={_quoted(networks)}"),
        "an unknown parameter": request("GET", f"/containers/{own}/json?x=y"),
        # Other platforms' containers
        **{
            f"{verb} of another's container {kind}": request(
                "POST" if verb in ("start", "stop", "restart") else "GET", f"/containers/{reference}/{verb}"
            )
            for verb in ("json", "logs", "top", "stats", "start", "stop", "restart")
            for kind, reference in (("by name", other), ("by id", other_id), ("by the beginning of its id", other_short))
        },
        "another's container, with a version": request("POST", f"/v1.41/containers/{other}/stop?t=0"),
        "nobody's container": request("GET", f"/containers/{project}-nobody/json"),
        "a name's beginning": request("GET", f"/containers/{project}/json"),
    }  # fmt: skip


def _quoted(text: str) -> str:
    return "".join(f"%{ord(sign):02x}" if not sign.isalnum() else sign for sign in text)


def main() -> None:
    asked = json.load(sys.stdin)

    def answered(probe: list[str]) -> list[object]:
        return [probe[0], *ask(asked["address"], asked["port"], probe[1])]

    with ThreadPoolExecutor(4) as pool:
        json.dump(list(pool.map(answered, asked["probes"])), sys.stdout)


if __name__ == "__main__":
    main()
