# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A device, brought from release to release over SSH, by whoever has the key for it.

A release comes in pieces, each read back and compared. What was cut, at whatever byte, goes on behind the last whole piece that is still
right: the card may have lost what was not safe yet. Only the whole of it, compared once more, becomes a release, and only a release whose
program runs there becomes the one in use. The device's clock counts for nothing: sequence numbers say which release came first.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, Protocol

from ..errors import (
    DeviceAwayError,
    DeviceError,
    DeviceRefusedError,
    DeviceSpaceError,
)
from ..releases.ids import checked_id, checked_service
from . import answers, scripts
from .answers import Answer, Release, State
from .artifacts import Artifact, architecture

# So many releases stay on a device, those that are needed among them.
KEPT = 3
# Bytes that stay free for everything else on the card.
RESERVE = 16 * 1024 * 1024
# A transfer that was cut is taken up again by itself, so often in a row without a piece that came through.
TRIES = 3
# Seconds for a script that is done at once, for one that reads or writes, and for a device to start anew.
QUICK = 30.0
SLOW = 180.0
REBOOT_SECONDS = 300.0

_PAUSE = 2.0

Tell = Callable[[str], None]


class Run(Protocol):
    """The way to a device: runs a command line in its user's home, as sshd does."""

    def __call__(self, line: str, data: bytes, seconds: float) -> Answer:
        """Run it.

        Args:
            line: for the shell of the user.
            data: its standard input.
            seconds: how long it may take.

        Raises:
            DeviceAwayError: the device does not answer, or not to the end.
        """


class Received(NamedTuple):
    """What a transfer did: bytes that were sent, and those that were there already."""

    sent: int
    kept: int


class Switched(NamedTuple):
    """What a switch did: the release that the device was well with before and the one now, each empty for none."""

    before: str
    now: str


class Device:
    """One device.

    Args:
        name: its name.
        run: the way to it.
        tell: gets a line for each thing that happens.
        pause: waits for so many seconds.
    """

    def __init__(
        self,
        name: str,
        run: Run,
        tell: Tell = lambda _text: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = checked_service(name)
        self._run = run
        self._tell = tell
        self._pause = pause

    def _ask(
        self, script: str, arguments: Sequence[str] = (), data: bytes = b"", seconds: float = QUICK
    ) -> Answer:
        return self._run(scripts.line(script, arguments), data, seconds)

    def _do(
        self, script: str, arguments: Sequence[str] = (), data: bytes = b"", seconds: float = QUICK
    ) -> dict[str, str]:
        return dict(answers.said(self.name, self._ask(script, arguments, data, seconds)))

    # How it is ------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return how it is.

        Raises:
            DeviceAwayError: it does not answer.
            DeviceAnswerError: it answers what no device does.
            DeviceError: it cannot say.
        """
        return answers.state(self.name, self._ask(scripts.STATUS))

    def architecture(self) -> str:
        """Return what kind of device it is, see `artifacts.architecture`; raises as `state` does."""
        found = self.state()
        return architecture(found.machine, found.bits)

    # A new release --------------------------------------------------------------------------------------------------

    def receive(self, release: str, artifact: Artifact) -> Received:
        """Bring a release to it, or the rest of one; nothing happens where it has it already.

        Args:
            release: the id.
            artifact: what the release has for this kind of device.

        Raises:
            DeviceSpaceError: it does not fit. What had come of it is removed.
            DeviceAwayError: the device went away. The next call goes on from there.
            DeviceError: what was written is not what was sent, or cannot be written. What had come of it is removed.
            OSError: the artifact cannot be read.
        """
        release = checked_id(release)
        found = self.state()
        if self._whole(found, release, artifact):
            return Received(0, artifact.size)
        if release in found.releases:
            self._tell(f"{self.name}: {release} is not what it was, and comes again")
            self._remove([release])
        there = self._there(release)
        found = self._make_room(found, release, artifact.size - min(there, artifact.size))
        try:
            done = self._send(release, artifact, there)
            self._finish(release, artifact, found.next_sequence)
        except DeviceAwayError:
            raise
        except DeviceError:
            self._forget([release])
            raise
        return done

    def _whole(self, found: State, release: str, artifact: Artifact) -> bool:
        """Whether it has a release, and what is on its card is still what came."""
        if found.releases.get(release, _NONE)[1:3] != (artifact.size, artifact.sha256):
            return False
        about = _about(release, artifact, found.releases[release].sequence)
        return answers.checksum(self.name, self._ask(scripts.FINISH, about, seconds=SLOW)) == artifact.sha256

    def _there(self, release: str) -> int:
        """Begin with a release, and return how many bytes of it are there, whatever they are."""
        return answers.number(self.name, self._do(scripts.PREPARE, [release]).get("size", "0"))

    def _make_room(self, found: State, release: str, size: int) -> State:
        """See that so many bytes fit, without what nobody needs any more; raises DeviceSpaceError."""
        if halves := [half for half in found.halves if half != release]:
            self._remove(halves)
        found = self.state()
        if found.free < size + RESERVE and (old := spare(found, 0)):
            self._remove(old)
            found = self.state()
        if found.free < size + RESERVE:
            self._forget([release])
            raise DeviceSpaceError(
                f"{self.name} has {found.free >> 20} MiB free, and {(size + RESERVE) >> 20} MiB are needed; make room on its card"
            )
        return found

    def _send(self, release: str, artifact: Artifact, there: int) -> Received:
        """Send what is missing; a way that breaks is tried again."""
        total = -(-artifact.size // scripts.PIECE)
        failed = 0
        with open(artifact.path, "rb") as file:
            begin = done = self._right(release, file, there, artifact.size)
            self._tell(f"{self.name}: sends {artifact.name}, {done} of {total} pieces are there")
            while done < total:
                file.seek(done * scripts.PIECE)
                try:
                    self._put(release, done, file.read(scripts.PIECE))
                except DeviceAwayError:
                    failed += 1
                    if failed >= TRIES:
                        raise
                    self._tell(
                        f"{self.name}: the way there broke at piece {done + 1} of {total}; tries again"
                    )
                    self._pause(_PAUSE * failed)
                else:
                    done, failed = done + 1, 0
        kept = min(begin * scripts.PIECE, artifact.size)
        return Received(artifact.size - kept, kept)

    def _right(self, release: str, file: IO[bytes], there: int, size: int) -> int:
        """Return how many whole pieces are there as they have to be; from the first on, or none."""
        if there > size:
            self._remove([release])
            self._do(scripts.PREPARE, [release])
        pieces = there // scripts.PIECE if there <= size else 0
        if not pieces:
            return 0
        wanted = hashlib.sha256()
        for _piece in range(pieces):
            wanted.update(file.read(scripts.PIECE))
        found = self._ask(scripts.PREFIX, [release, str(pieces)], seconds=SLOW)
        return pieces if answers.checksum(self.name, found) == wanted.hexdigest() else 0

    def _put(self, release: str, piece: int, data: bytes) -> None:
        found = self._ask(scripts.PUT, [release, str(piece)], data, SLOW)
        if answers.checksum(self.name, found) != hashlib.sha256(data).hexdigest():
            raise DeviceError(
                f"{self.name}: piece {piece + 1} of {release} is not what was sent when it is read back; see whether its card is worn out"
            )

    def _finish(self, release: str, artifact: Artifact, sequence: int) -> None:
        found = self._ask(scripts.FINISH, _about(release, artifact, sequence), seconds=SLOW)
        if answers.checksum(self.name, found) != artifact.sha256:
            raise DeviceError(
                f"{self.name}: {release} is not what was sent when it is read back; see whether its card is worn out"
            )
        self._tell(f"{self.name}: has {release}")

    def _remove(self, releases: Sequence[str]) -> None:
        self._do(scripts.REMOVE, [checked_id(release) for release in releases], seconds=SLOW)

    def _forget(self, releases: Sequence[str]) -> None:
        """Remove what a failure left, as far as the device lets one."""
        with contextlib.suppress(DeviceError):
            self._remove(releases)

    # The release in use ---------------------------------------------------------------------------------------------

    def switch(self, release: str, version: str = "", before: str | None = None) -> Switched:
        """Let it use a release that it has, or none.

        Args:
            release: the id; empty for none.
            version: what the release's program has to say of itself; whatever it says will do where this is empty.
            before: what it goes back to where that does not work; by default what it was well with last. That is not what is in use
                where a switch was cut before the device was well.

        Raises:
            DeviceRefusedError: the release does not work there. The one before is in use.
            DeviceError: it has no such release, or cannot change.
        """
        found = self.state()
        back = found.trusted if before is None else before
        if release:
            if checked_id(release) not in found.releases:
                known = ", ".join(sorted(found.releases)) or "none"
                raise DeviceError(f"{self.name} has no release {release}; it has {known}")
            if problem := self._tried(release, version):
                if found.current == release and not found.proven:
                    raise DeviceRefusedError(self._back(back, release, problem))
                raise DeviceRefusedError(f"{self.name} does not use {release}: {problem}")
        self._do(scripts.SWITCH, [release])
        # Also where it is in use already: a device that started anew in between may not have taken it up.
        if problem := self._taken_up():
            raise DeviceRefusedError(self._back(back, release, problem))
        self._do(scripts.PROVEN)
        return Switched(back, release)

    def _tried(self, release: str, version: str) -> str:
        """Run a release's program, and return what is wrong with it; empty where it is well."""
        tried = self._do(scripts.TRY, [release], seconds=scripts.TRIAL_SECONDS + QUICK)
        said = answers.printable(tried.get("said", ""))
        if tried.get("status") != "0":
            status = answers.printable(tried.get("status", ""))
            return f"its program ends with {status} there{said and ': '}{said}"
        if version and version not in said.split():
            return f"its program says {said!r} of itself, not {version}"
        return ""

    def _taken_up(self) -> str:
        """Let it take up what is in use, and return what is wrong with it then; empty where it is well."""
        found = self._do(scripts.TAKE_UP, seconds=2 * scripts.HOOK_SECONDS + QUICK)
        bad = next((word for word in ("restart", "healthy") if found.get(word, "0") != "0"), "")
        if not bad:
            return ""
        said = answers.printable(found.get("said", ""))
        what = "it does not start" if bad == "restart" else "it is not well"
        return f"{what}{said and ': '}{said}"

    def _back(self, before: str, release: str, problem: str) -> str:
        """Bring what was in use before back, and return what to say of it."""
        what = f"{self.name} does not use {release or 'no release'}: {problem.rstrip('.')}"
        shown = before or "no release"
        if before == release:
            return f"{what}. It was in use before, too; see what is wrong there."
        try:
            self._do(scripts.SWITCH, [before])
            if not (worse := self._taken_up()):
                self._do(scripts.PROVEN)
        except DeviceError as error:
            return f"{what}. It could not be brought back to {shown}: {error}"
        return f"{what}. It is back at {shown}{', but ' if worse else '.'}{worse}"

    # Its card and its power -----------------------------------------------------------------------------------------

    def tidy(self) -> list[str]:
        """Remove the oldest releases but for `KEPT`, and what is half of one; returns those removed. Raises as `state` does."""
        found = self.state()
        gone = [*spare(found, KEPT), *found.halves]
        if gone:
            self._remove(gone)
        return gone

    def reboot(self, seconds: float = REBOOT_SECONDS) -> float:
        """Start it anew, wait until it answers again, and return how many seconds that took.

        Raises:
            DeviceAwayError: it does not come back in time.
            DeviceError: it does not start anew.
        """
        before, begin = self.state().boot, time.monotonic()
        with contextlib.suppress(DeviceAwayError):
            self._do(scripts.REBOOT, seconds=scripts.HOOK_SECONDS + QUICK)
        while time.monotonic() - begin < seconds:
            self._pause(_PAUSE)
            with contextlib.suppress(DeviceAwayError):
                if self.state().boot != before:
                    return time.monotonic() - begin
        raise DeviceAwayError(f"{self.name} was told to start anew {seconds:g} s ago and has not; look at it")


_NONE = Release(0, 0, "", "")


def _about(release: str, artifact: Artifact, sequence: int) -> list[str]:
    return [release, str(artifact.size), artifact.sha256, str(sequence), artifact.name]


def spare(found: State, kept: int) -> list[str]:
    """Return which releases a device does not need.

    Those are all but the ones in use or before, the one that it was well with last, and the newest of the others, up to a
    number in all.

    Args:
        found: how the device is.
        kept: the number.
    """
    needed = {found.current, found.previous, found.trusted} - {""}
    others = sorted(set(found.releases) - needed, key=lambda release: found.releases[release].sequence)
    return others[: max(0, len(others) - max(0, kept - len(needed)))]
