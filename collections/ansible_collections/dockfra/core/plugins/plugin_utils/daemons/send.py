# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Sends one alert to addresses: a program of its own, which ends with that.

Addresses are secrets, and come on the input with the alert. Whoever may set them must not get the monitor to ask the platform's own
services for something, so no connection goes to a network that this container sits on, whatever a name resolves to.
"""

from __future__ import annotations

import ipaddress
import json
import os
import struct
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..cli import libraries

# What became of an address.
TAKEN = ""
UNKNOWN = "is none that Apprise knows"
WITHIN = "leads to a network of the platform itself"
REFUSED = "does not take it"

# Bytes of the input, and seconds for one connection.
MAX_INPUT = 256 * 1024

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ROUTES = Path("/proc/net/route")
_ROUTES_6 = Path("/proc/net/ipv6_route")


class Guard:
    """Keeps this process from connecting to some networks, from now on.

    Args:
        networks: where no connection goes; loopback is no network.

    Attributes:
        refused: whether a connection was kept from them since this was last set to False.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self.refused = False
        self._networks = list(networks)
        # Below everything that resolves names and follows redirections.
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and not self._admits(arguments[1]):
            self.refused = True
            raise PermissionError(f"an alert {WITHIN}")

    def _admits(self, address: Any) -> bool:
        if address is None:  # the socket is connected already
            return True
        try:
            found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        except (ValueError, TypeError, IndexError, KeyError):
            return False  # a name, which would be resolved below this, or a socket of this container
        mapped = getattr(found, "ipv4_mapped", None) or found
        return mapped.is_loopback or not any(mapped in network for network in self._networks)


def own_networks(routes: Path = _ROUTES, routes_6: Path = _ROUTES_6) -> list[Network]:
    """Return the networks that this container sits on; raises OSError, or ValueError."""
    found: list[Network] = []
    for line in routes.read_text().splitlines()[1:]:
        interface, network, gateway, *_rest = words = line.split()
        if interface != "lo" and gateway == "00000000" and words[7] != "00000000":
            found.append(ipaddress.IPv4Network((_address(network), str(_address(words[7])))))
    if routes_6.exists():
        for line in routes_6.read_text().splitlines():
            network, length, _source, _length, gateway, *_rest, interface = line.split()
            if interface != "lo" and int(gateway, 16) == 0 and int(length, 16) > 0:
                found.append(ipaddress.IPv6Network((bytes.fromhex(network), int(length, 16)), strict=False))
    return found


def _address(text: str) -> ipaddress.IPv4Address:
    # In the machine's own order of bytes.
    return ipaddress.IPv4Address(struct.pack("=I", int(text, 16)))


def send(addresses: Iterable[str], alert: Mapping[str, Any], guard: Guard) -> list[str]:
    """Send an alert and return what became of each address.

    Args:
        addresses: where to.
        alert: its ``title``, ``body`` and ``kind``, as Apprise has them.
        guard: of this process.
    """
    return [_sent(address, alert, guard) for address in addresses]


def _sent(address: str, alert: Mapping[str, Any], guard: Guard) -> str:
    import apprise

    guard.refused = False
    plugin = apprise.Apprise.instantiate(address) or apprise.Apprise.instantiate(_as_json(address))
    if plugin is None:
        return UNKNOWN
    done = plugin.notify(
        body=alert["body"],
        title=alert["title"],
        notify_type=alert["kind"],
        body_format=apprise.NotifyFormat.TEXT,
    )
    return TAKEN if done else WITHIN if guard.refused else REFUSED


def _as_json(address: str) -> str:
    """An address of a webhook that belongs to no service Apprise knows, as one that gets JSON."""
    parts = urllib.parse.urlsplit(address)
    scheme = {"https": "jsons", "http": "json"}.get(parts.scheme, "")
    # A minus sign tells Apprise that a part of the query is for the server.
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    query = urllib.parse.urlencode([(f"-{name}", value) for name, value in pairs])
    return urllib.parse.urlunsplit((scheme, parts.netloc, parts.path, query, ""))


def main() -> int:
    """Read the alert, send it, and write what became of it, one text for each address."""
    request = json.loads(sys.stdin.buffer.read(MAX_INPUT))
    # What Apprise and its libraries have to say may hold an address.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    guard = Guard(own_networks())
    libraries.enable()
    print(json.dumps(send(request["addresses"], request["alert"], guard)))
    return 0
