# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be deployed from a service, as the topology has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deployable:
    """A service whose releases one can deploy from somewhere.

    Attributes:
        service: its name.
        target: the deploy that they belong to.
        path: the service's directory in the origin's repository.
        bastion: the service that keeps them.
        host: where the service itself answers, by HTTP; empty where it cannot be reached from there.
        port: of that.
        health: the path that answers when it works.
    """

    service: str
    target: str
    path: str
    bastion: str
    host: str = ""
    port: int = 0
    health: str = "/"


@dataclass(frozen=True)
class Fleeted:
    """A device whose releases one can deploy from somewhere.

    Attributes:
        device: its name.
        service: whose releases it gets.
        bastion: the service that keeps them, and has the key for the device.
        share: how many devices of that bastion change at a time, a number or a share like ``25%``.
    """

    device: str
    service: str
    bastion: str
    share: str
