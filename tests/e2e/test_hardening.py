"""What no container may have or do, seen from Docker and from inside."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from tests.e2e.support.platform import Platform, read_topology

EXCEPTIONS = yaml.safe_load(Path(__file__).with_name("hardening_exceptions.yml").read_text())["exceptions"]
SERVICES = [service.name for service in read_topology().containers()]
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----[A-Za-z0-9+/=\s:,-]+?-----END \1PRIVATE KEY-----")


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each service; one with a reviewed exception from this check must still need it."""
    name, check = str(request.param), request.node.originalname.removeprefix("test_")
    for exception in EXCEPTIONS:
        if (exception["service"], exception["check"]) == (name, check):
            request.node.add_marker(pytest.mark.xfail(reason=exception["reason"], strict=True))
    return name


@pytest.fixture
def inside(platform: Platform, service: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A shell in the service's container."""
    if socket := platform.engine(service).socket:
        monkeypatch.setenv("DOCKER_HOST", socket)
    return testinfra.get_host(f"docker://{platform.topology.container_name(service)}")


def _status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in text.splitlines())}


def test_settings(platform: Platform, service: str) -> None:
    details = platform.container(service).attrs
    config, host = details["Config"], details["HostConfig"]
    declared = platform.topology.services[service]
    assert config["User"] == f"{declared.uid}:{declared.uid}"
    assert declared.uid >= 1000
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert not [option for option in host["SecurityOpt"] if "unconfined" in option or "disable" in option]
    assert not host["Devices"]
    # Who has the Docker socket has the group that it has here, and nobody else any.
    sockets = [str(platform.engine(service).path(path).stat().st_gid) for path in declared.docker_sockets]
    assert (host["GroupAdd"] or []) == sockets
    assert "0" not in sockets
    assert {host[mode] for mode in ("PidMode", "UTSMode", "UsernsMode")} == {""}
    assert host["IpcMode"] in ("", "private")
    assert host["NetworkMode"] not in ("host", "default", "bridge")
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_first_process(platform: Platform, service: str) -> None:
    """It takes note of processes that end, whoever has started them."""
    assert platform.container(service).attrs["HostConfig"]["Init"] is True


def test_limits(platform: Platform, service: str) -> None:
    host = platform.container(service).attrs["HostConfig"]
    assert 0 < host["Memory"] <= 1 << 30
    assert host["MemorySwap"] == host["Memory"], "may swap"
    assert 0 < host["PidsLimit"] <= 512
    assert host["OomKillDisable"] in (None, False)


def test_mounts(platform: Platform, service: str) -> None:
    """Writable are the service's own volumes and small directories in memory; no host directory; a Docker socket where declared."""
    details = platform.container(service).attrs
    declared = {
        (platform.topology.volume_name(volume.name), volume.path, not volume.read_only)
        for volume in platform.topology.volumes(service)
    }
    mounts = details["Mounts"]
    volumes = {
        (mount["Name"], mount["Destination"], mount["RW"]) for mount in mounts if mount["Type"] == "volume"
    }
    assert volumes == declared
    binds = [mount for mount in mounts if mount["Type"] == "bind"]
    sockets = {
        (bind.source, bind.path)
        for bind in platform.topology.services[service].binds
        if bind.is_engine and bind.read_only
    }
    assert sockets <= {(mount["Source"], mount["Destination"]) for mount in binds if not mount["RW"]}
    binds = [mount for mount in binds if (mount["Source"], mount["Destination"]) not in sockets]
    assert [(mount["Destination"], mount["RW"]) for mount in binds] in ([], [("/etc/dockfra", False)])
    assert all(
        mount["Source"].endswith(f"/{platform.topology.project}/services/{service}") for mount in binds
    )
    for path, options in details["HostConfig"]["Tmpfs"].items():
        assert {"nosuid", "nodev"} <= set(options.split(",")), path
        assert "size=" in options, path


def test_nothing_runs_from_memory(platform: Platform, service: str) -> None:
    for path, options in platform.container(service).attrs["HostConfig"]["Tmpfs"].items():
        assert "noexec" in options.split(","), path


def test_health_check(platform: Platform, service: str) -> None:
    details = platform.container(service).attrs
    assert details["Config"]["Healthcheck"]["Test"][0] == "CMD"
    assert details["State"]["Health"]["Status"] == "healthy"
    # The life of a builder ends with its build.
    assert details["RestartCount"] == 0 or service in ("builder", "tester")


def test_log_rotation(platform: Platform, service: str) -> None:
    log = platform.container(service).attrs["HostConfig"]["LogConfig"]
    assert log["Type"] == "json-file"
    assert log["Config"] == {"max-size": "10m", "max-file": "3"}


def test_processes(platform: Platform, service: str) -> None:
    """Every process has the service's own user, no capability in reach, no way to gain one, and a system call filter."""
    uid = platform.topology.services[service].uid
    listed: Any = platform.container(service).top(ps_args="-eo pid")
    assert listed["Processes"]
    checked = 0
    for (pid,) in listed["Processes"]:
        try:
            status = _status(platform.engine(service).path(f"/proc/{pid}/status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # a health check that has ended meanwhile
        checked += 1
        assert set(status["Uid"].split()) == {str(uid)}, status["Name"]
        assert set(status["Gid"].split()) == {str(uid)}, status["Name"]
        allowed = {
            str(platform.engine(service).path(path).stat().st_gid)
            for path in platform.topology.services[service].docker_sockets
        }
        assert set(status["Groups"].split()) <= {str(uid), *allowed}, status["Name"]
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[capabilities], 16) == 0, (status["Name"], capabilities)
        assert status["NoNewPrivs"] == "1", status["Name"]
        assert status["Seccomp"] == "2", status["Name"]
    assert checked


def test_from_inside(platform: Platform, service: str, inside: Any) -> None:
    """What somebody who has taken the service over finds: an ordinary user in a container that stays as it is."""
    uid = platform.topology.services[service].uid
    status = _status(inside.check_output("cat /proc/self/status"))
    assert set(status["Uid"].split()) == {str(uid)}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # Where the user may write at all, and whether a file there can be run.
    tried = inside.run(
        "for d in / /etc /etc/dockfra /usr/bin /usr/local/bin /var /opt /root /home; do"
        " (: > $d/.probe) 2>/dev/null && echo written:$d; done;"
        " for d in /tmp /run; do printf '#!/bin/sh\\necho ran:%s\\n' $d > $d/.probe && chmod +x $d/.probe && $d/.probe;"
        " rm -f $d/.probe; done 2>/dev/null;"
        " for s in /var/run/docker.sock /run/docker.sock; do [ ! -e $s ] || echo socket:$s; done;"
        " true"
    )
    sockets = [f"socket:{bind.path}" for bind in platform.topology.services[service].binds if bind.is_engine]
    # /var/run is a link to /run.
    assert sorted(set(tried.stdout.replace("socket:/var/run/", "socket:/run/").split())) == sockets
    assert tried.exit_status == 0


def test_one_service_of_a_docker_host_has_its_socket(platform: Platform) -> None:
    having = [service for service in platform.topology.containers() if service.docker_sockets]
    assert sorted(service.docker_host for service in having) == sorted(platform.engines)
    assert all(service.name.startswith("docker-gateway") for service in having)
    assert [
        bind.path for service in platform.topology.containers() for bind in service.binds if bind.is_engine
    ] == ["/run/docker.sock"] * len(having)


def test_configuration_is_readable_by_the_service_alone(platform: Platform, service: str) -> None:
    details = platform.container(service).attrs
    uid = platform.topology.services[service].uid
    for mount in details["Mounts"]:
        if mount["Destination"] == "/etc/dockfra":
            folder = platform.engine(service).path(mount["Source"])
            for path in [folder, *folder.rglob("*")]:
                info = path.lstat()
                assert info.st_uid == uid, path
                assert info.st_mode & 0o277 == 0, f"{path} has mode {info.st_mode:o}"


# Keys and secrets -------------------------------------------------------------------------------------------------


def _fingerprint(pem: bytes) -> str:
    """Hash of the public half, so that the same key in another format is the same key."""
    load = serialization.load_ssh_private_key if b"OPENSSH" in pem else serialization.load_pem_private_key
    try:
        public = load(pem, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Damaged, encrypted or exotic: its text stands for it.
        return hashlib.sha256(pem).hexdigest()
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def _private_keys(platform: Platform, service: str) -> dict[str, str]:
    """Path by fingerprint of every private key in a container's text files: libraries bring keys for their self-tests.

    Read as the service's own user where that may read more than others, and everywhere as a root without powers.
    """
    places = {"": "/etc/dockfra /home /run /tmp /var", "0:0": "/"}
    found: dict[str, str] = {}
    for user, roots in places.items():
        search = (
            f"grep -rlsI --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev -e 'PRIVATE KEY-----' {roots}"
            ' | while IFS= read -r file; do printf \'\n%s\n\' "file:$file"; cat "$file"; done'
        )
        done = platform.run(service, "/bin/bash", "-c", search, user=user)
        for part in re.split(r"^file:", done.stdout, flags=re.MULTILINE)[1:]:
            path, _newline, content = part.partition("\n")
            for match in _PEM.finditer(content.encode()):
                found[_fingerprint(match[0])] = path
    return found


def test_each_private_key_lives_in_one_container_only(platform: Platform) -> None:
    with ThreadPoolExecutor(4) as pool:
        scanned = dict(
            zip(SERVICES, pool.map(lambda name: _private_keys(platform, name), SERVICES), strict=True)
        )
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for name, keys in scanned.items():
        for fingerprint, path in keys.items():
            places[fingerprint][name] = path
    shared = [
        sorted(f"{name}:{path}" for name, path in found.items())
        for found in places.values()
        if len(found) > 1
    ]
    assert shared == []

    # And each is where it belongs: everybody's own host key, the role's own client key, Traefik's certificate.
    owners = {"tls/server.key": "traefik"}
    owners |= {f"keys/{name}/id_ed25519": owner for name, owner in platform.client_keys().items()}
    expected = {}
    for name, pem in platform.secrets.items():
        if name.startswith("host_keys/"):
            expected[_fingerprint(pem.encode())] = name.split("/")[1]
        elif name in owners:
            expected[_fingerprint(pem.encode())] = owners[name]
    assert {fingerprint: set(found) for fingerprint, found in places.items()} == {
        fingerprint: {owner} for fingerprint, owner in expected.items()
    }


def _secrets(platform: Platform) -> dict[str, bytes]:
    """Every secret of the platform by name: passwords, and the telling part of private keys."""
    found = {
        name: (text.strip() if name.startswith("secrets/") else text.strip().splitlines()[-2]).encode()
        for name, text in platform.secrets.items()
    }
    assert all(len(secret) >= 12 for secret in found.values())
    return found


def test_no_secret_shows_in_docker(platform: Platform) -> None:
    """Not in a container's settings or log, nor in an image's settings or history."""
    secrets = _secrets(platform)
    assert len(secrets) > 20
    for name in SERVICES:
        container, client = platform.container(name), platform.engine(name).client.api
        shown = {
            "settings": str(container.attrs).encode(),
            "log": container.logs(),
            "image": str(client.inspect_image(container.attrs["Image"])).encode(),
            "history": str(client.history(container.attrs["Image"])).encode(),
        }
        for place, text in shown.items():
            leaked = [secret for secret, value in secrets.items() if value in text]
            assert leaked == [], f"{place} of {name}"


def test_state_directory_is_closed_to_others(platform: Platform) -> None:
    for path in [platform.state, *platform.state.rglob("*")]:
        if path.is_file() and path.suffix not in (".pub", ".crt"):
            assert path.stat().st_mode & 0o077 == 0, path
    assert platform.state.stat().st_mode & 0o077 == 0
