"""What the platform's API says, typed: the answers are decoded and checked in one step."""

import ssl
import urllib.error
import urllib.request
from datetime import datetime
from http.client import HTTPException
from typing import TypeVar

import msgspec

from .device import State
from .timely import handlers

# Bytes of an answer that are read, and seconds for all of it.
MAX_ANSWER = 4 * 1024 * 1024
TIMEOUT = 10

T = TypeVar("T")


class PlatformError(Exception):
    """The platform did not give an answer that can be used; the text says why in one line."""


class Unreachable(PlatformError):
    """There is no connection, so there is nothing else to ask."""


class Service(msgspec.Struct):
    service: str
    port: int
    kind: str
    state: str
    latency_ms: float
    detail: str


class Status(msgspec.Struct):
    status: str
    checked_at: datetime
    services: list[Service]
    asked: int
    total: int


class Deployment(msgspec.Struct):
    id: int
    service: str
    version: str
    status: str
    deployed_by: str
    started_at: datetime
    finished_at: datetime | None
    note: str


class Device(msgspec.Struct):
    id: str
    name: str
    kind: str
    architecture: str
    address: str | None
    version: str
    last_seen: datetime


class Snapshot(msgspec.Struct):
    """Everything one look at the platform found, and what it could not find out."""

    url: str
    status: Status | None = None
    deployments: list[Deployment] | None = None
    devices: list[Device] | None = None
    problems: list[str] = []

    @property
    def healthy(self) -> bool:
        return not self.problems and self.status is not None and self.status.status == "ok"


class Platform:
    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.url = url.rstrip("/")
        self._opener = urllib.request.build_opener(*handlers(tls))

    def look(self) -> Snapshot:
        snapshot = Snapshot(url=self.url)
        for field, path, kind in (
            ("status", "/api/status", Status),
            ("deployments", "/api/deployments?limit=10", list[Deployment]),
            ("devices", "/api/devices", list[Device]),
        ):
            try:
                setattr(snapshot, field, self._get(path, kind))
            except PlatformError as error:
                snapshot.problems.append(str(error))
                if isinstance(error, Unreachable):
                    break
        return snapshot

    def report(self, name: str, token: str, state: State) -> None:
        """Tell how the device called ``name`` is; raises PlatformError."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._ask("PUT", f"/api/devices/{name}", headers, msgspec.json.encode(state))

    def _get(self, path: str, kind: type[T]) -> T:
        body = self._ask("GET", path, {"Accept": "application/json"})
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PlatformError(f"{path}: not the answer of a Dockfra backend: {error}") from error

    def _ask(self, method: str, path: str, headers: dict[str, str], data: bytes | None = None) -> bytes:
        try:
            # The command line admits http and https alone.
            request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
            with self._opener.open(request, timeout=TIMEOUT) as response:
                body: bytes = response.read(MAX_ANSWER + 1)
        except urllib.error.HTTPError as error:
            raise PlatformError(f"{path}: HTTP {error.code}{_detail(error)}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url}: {_reason(error)}") from error
        if len(body) > MAX_ANSWER:
            raise PlatformError(f"{path}: the answer is larger than {MAX_ANSWER} bytes")
        return body


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return f": {msgspec.json.decode(error.read(4096), type=dict[str, str])['detail']}"
    except (OSError, HTTPException, msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return ""


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{cause.verify_message}; name the platform's CA certificate with --ca-file"
    if isinstance(cause, TimeoutError):
        return f"no answer in {TIMEOUT} s"
    if isinstance(cause, OSError) and cause.strerror:
        return f"cannot connect: {cause.strerror}"
    return str(cause) or type(cause).__name__
