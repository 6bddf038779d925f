# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How many calls one caller may have under way in a container at the same time, over all its connections.

Each holds some 15 MB of the container's memory, with its sshd. Without a limit one role could fill the container of
another, whose commands would then be killed wherever they were.
"""

from __future__ import annotations

import os

from ...module_utils.errors import BusyError, CommandError
from ...module_utils.locks import file_lock

DIRECTORY = "/run/dockfra-gate"

MAX_CALLS = 6


class Slots:
    """The places of one caller. Each is a lock, which ends with the process that holds it, however that ends.

    Args:
        caller: whose they are.
        directory: where the locks are; it is made.
    """

    def __init__(self, caller: str, directory: str = DIRECTORY) -> None:
        self._caller = caller
        self._directory = directory
        self._held: int | None = None

    def take(self) -> None:
        """Take a place, unless this process has one.

        Raises:
            BusyError: all are taken.
            CommandError: the system refuses.
        """
        if self._held is not None:
            return
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            for number in range(MAX_CALLS):
                self._held = self._locked(number)
                if self._held is not None:
                    return
        except OSError as error:
            raise CommandError(f"{self._directory} cannot be used: {error.strerror}") from error
        raise BusyError(
            f"the {self._caller} has {MAX_CALLS} calls under way here; try again when one has ended"
        )

    def _locked(self, number: int) -> int | None:
        descriptor = file_lock.open_file(os.path.join(self._directory, f"{self._caller}.{number}"))
        if file_lock.take(descriptor):
            return descriptor
        os.close(descriptor)
        return None
