# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a name leads to a machine, its clock is right, and the ports are free that the platform is to publish."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence

from .finding import OK, WARNING, WRONG, Finding

_MOST_SKEW = 30.0  # seconds; tokens, certificates and the order of the audit log suffer
_SOME_SKEW = 2.0


def ports(wanted: Sequence[str], busy: Mapping[str, str]) -> list[Finding]:
    """Which of the ports that are to be published somebody else has.

    Args:
        wanted: places on the host (``address:port``).
        busy: those that something else than the platform uses, each with what that is.
    """
    taken = [
        Finding(
            "ports",
            WRONG,
            f"Port {place.rpartition(':')[2]} ({place}) is already used by {user}",
            "Stop that, or change `publish` in the service's dockfra_ports, or dockfra_port_offset for all.",
        )
        for place, user in sorted(busy.items(), key=lambda pair: int(pair[0].rpartition(":")[2]))
    ]
    if taken or not wanted:
        return taken
    numbers = sorted({int(place.rpartition(":")[2]) for place in wanted})
    return [Finding("ports", OK, f"The ports {', '.join(map(str, numbers))} are free, or this platform's")]


def domain(name: str, expected: Collection[str]) -> Finding:
    """Whether a name leads where it should.

    Args:
        name: a DNS name.
        expected: addresses of which it should have one.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        return Finding(
            "dns",
            WRONG,
            f"{name} has no address here: {getattr(error, 'strerror', None) or error}",
            f"Add a record to the zone of the domain: {name} A {next(iter(sorted(expected)), 'ADDRESS')}.",
        )
    if found & set(expected):
        return Finding("dns", OK, f"{name} leads to {', '.join(sorted(found & set(expected)))}")
    return Finding(
        "dns",
        WARNING,
        f"{name} leads to {', '.join(sorted(found))}, and the server is {', '.join(sorted(expected)) or 'not known'}",
        "Correct the record, unless something in between passes on what comes for it.",
    )


def addresses(name: str) -> set[str]:
    """The addresses of a name; none where it has none."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def address(name: str) -> Finding:
    """Whether a server has an address by which containers and other machines get to it.

    Args:
        name: its name or address (``ansible_host``).
    """
    found = addresses(name)
    if any(":" not in each for each in found):
        return Finding("address", OK, f"{name} has an IPv4 address")
    if found:
        return Finding(
            "address",
            WRONG,
            f"{name} has no IPv4 address ({', '.join(sorted(found))}), and containers and published ports have no IPv6",
            "Give it one: a record A for its name, or an IPv4 address as ansible_host.",
        )
    return Finding(
        "address",
        WARNING,
        f"{name} has no address here",
        "Correct ansible_host, or add a record to the zone.",
    )


def clock(before: float, there: float, after: float) -> Finding:
    """Whether a machine's clock is that of the controller.

    Args:
        before: the controller's time in seconds before the machine was asked.
        there: what the machine said.
        after: the controller's time after that.
    """
    skew = there - before if there < before else max(0.0, there - after)
    if abs(skew) <= _SOME_SKEW:
        return Finding("clock", OK, "Its clock is that of the controller")
    way = "ahead of" if skew > 0 else "behind"
    return Finding(
        "clock",
        WRONG if abs(skew) > _MOST_SKEW else WARNING,
        f"Its clock is {abs(skew):.0f} s {way} that of the controller",
        "Let it follow a time server: apt-get install systemd-timesyncd, or chrony.",
    )
