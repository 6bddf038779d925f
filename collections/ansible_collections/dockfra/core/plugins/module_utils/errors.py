# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The errors of the library. Each message says what happened, to what, and what to do next."""

from __future__ import annotations


class DockfraError(Exception):
    """Base of every error a caller may turn into an exit code or a module failure."""


class UsageError(DockfraError):
    """Words or values that cannot be meant; whoever sent them has to send others."""


class DeniedError(DockfraError):
    """The caller may not do this."""


class PolicyError(DockfraError):
    """The policy on this machine cannot be read."""


class AuditError(DockfraError):
    """The audit log cannot be written or read."""


class CommandError(DockfraError):
    """A command could not do its work."""


class AnnouncementError(CommandError):
    """What happened could not be told to the application that lists it; it is kept, and told again."""


class AnnouncementRefusedError(AnnouncementError):
    """The application will not take what it is told, however often."""


class UnreachableError(CommandError):
    """Another container cannot be reached; later it may be."""


class BusyError(DockfraError):
    """Somebody has as much under way as one may have; later it can be done."""


class LateError(DockfraError):
    """What was waited for has not come in time."""


class TooMuchError(DockfraError):
    """What came from elsewhere is more than is read."""


class TopologyError(DockfraError):
    """The inventory contradicts itself or holds a value that cannot work.

    Args:
        problems: every contradiction found, one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DocumentError(UsageError):
    """A value of a document that somebody wrote cannot be meant.

    Args:
        message: what is wrong with it.
        where: keys and positions that lead to it.
        at_key: whether the key itself is wrong, not what it says.
    """

    def __init__(self, message: str, where: tuple[str | int, ...] = (), at_key: bool = False) -> None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        super().__init__(f"{place}: {message}" if place else message)
        self.where = where
        self.at_key = at_key


class MisplacedError(UsageError):
    """What is wrong with a document, and where; whoever knows the file's name makes an error of its own of it.

    Args:
        line: the line.
        reason: what is wrong.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"{line}: {reason}")
        self.line = line


class KeyringError(DockfraError):
    """A secret, key or certificate cannot be read or made."""


class EngineError(DockfraError):
    """The Docker Engine does not answer or refuses a request."""


class LockError(DockfraError):
    """A lock cannot be used."""


class LockBusyError(LockError, BusyError):
    """Somebody else has the lock, for longer than one waits.

    Args:
        message: one line.
        other: who has it, as plain data, where that is known.
    """

    def __init__(self, message: str, other: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.other = other


class FileTreeError(DockfraError):
    """A file or directory cannot be brought to its wanted state."""


class TicketError(DockfraError):
    """A ticket or the ticket store cannot do what was asked; always one line."""


class TicketInvalidError(TicketError, UsageError):
    """A value breaks the rules for its field."""


class TicketNotFoundError(TicketError):
    """No ticket has the id."""


class TicketDeniedError(TicketError, DeniedError):
    """The role may not do this to the ticket."""


class TicketConflictError(TicketError):
    """The ticket's present state does not allow the change."""


class TicketDamagedError(TicketError):
    """The ticket's file cannot be read as a ticket."""


class TicketNewerError(TicketError):
    """The ticket's file was written by a later version of this library."""


class TicketStoreError(TicketError):
    """The directory of the tickets is missing, not permitted or locked for too long."""


class TicketStorageFullError(TicketStoreError):
    """There is no space left for the tickets."""


# -- GitHub --


class GitHubError(DockfraError):
    """GitHub cannot do what was asked, or not now; always one line, and never with the token."""


class GitHubSettingError(GitHubError):
    """The token, repository or address has a form that cannot work."""


class GitHubDeniedError(GitHubError):
    """The token is refused or lacks a right, or the repository is not there for it."""


class GitHubUnavailableError(GitHubError):
    """GitHub does not answer, answers nonsense or asks to wait for too long."""


class GitHubUnclearError(GitHubError):
    """A request that creates something got no proper answer, so it may or may not have happened."""


class GitHubGoneError(GitHubError):
    """The issue was deleted, or moved to where the token does not reach."""


class GitHubMovedError(GitHubError):
    """The issue is in another repository now.

    Attributes:
        place: where, ``owner/repo#5``.
    """

    def __init__(self, place: str) -> None:
        super().__init__(f"The issue is {place} now.")
        self.place = place


class GitHubLockedError(GitHubError):
    """The issue's conversation is locked, so no comment can be added."""


class GitHubInvalidError(GitHubError):
    """GitHub refuses the content of an issue or comment."""


class SyncBusyError(DockfraError):
    """Another synchronisation of the same tickets with the same repository is under way."""


# -- releases --


class ReleaseError(DockfraError):
    """A release cannot be described, kept or brought to serve; always one line."""


class ReleaseInvalidError(ReleaseError, UsageError):
    """A release id, a service's name or what ``release.yml`` says cannot be meant."""


class ReleaseNotFoundError(ReleaseError):
    """There is no such release."""


class ReleaseDamagedError(ReleaseError):
    """An archive, a record or a report is not what it has to be."""


class ReleaseSpaceError(ReleaseError):
    """There is no room for a release."""


class ReleaseStoreError(ReleaseError):
    """The releases' directory is missing or not permitted."""


class ReleaseRefusedError(ReleaseError):
    """The service does not serve the release it was asked for, and has gone on with the old one.

    Args:
        message: one line.
        result: in a word, see ``releases.state.RESULTS``.
        reason: what the service says of it.
    """

    def __init__(self, message: str, result: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.result = result
        self.reason = reason


class ReleaseHopelessError(ReleaseError):
    """Not even what the image of a service brought can serve."""


# -- devices --


class DeviceError(DockfraError):
    """A device cannot be brought to a release; always one line."""


class DeviceAwayError(DeviceError):
    """The device does not answer, or its answer broke off: what was asked may or may not have been done."""


class DeviceAnswerError(DeviceError):
    """The device answers what no device does."""


class DeviceSpaceError(DeviceError):
    """The device has no room for a release."""


class DeviceUnsuitableError(DeviceError):
    """A release has nothing for a device of that kind."""


class DeviceRefusedError(DeviceError):
    """A release does not work on the device, which has gone on with the one before."""


# -- builds --


class BuildError(DockfraError):
    """No release was built; always one line."""


class BuildFailedError(BuildError):
    """What was to be built cannot be: it is not as it has to be, or its own commands or tests fail.

    Args:
        message: one line with service, step and reason.
        log: the end of what failed said, without signs that nobody sees.
        service: of which it is; empty for what concerns all.
    """

    def __init__(self, message: str, log: str = "", service: str = "") -> None:
        super().__init__(message)
        self.log = log
        self.service = service


class BuildUnreachableError(BuildError):
    """The builder does not answer, or its answer broke off."""


class BuildBusyError(BuildError, BusyError):
    """The builder has been at another build for all the time that there was."""


class BuildAnswerError(BuildError):
    """The builder answers what no builder does."""


# -- edits --


class EditRefusedError(DockfraError):
    """Edits that a model proposed are not applied, none of them; one line.

    Args:
        reasons: why, each a sentence that the model can be told.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


# -- the watch --


class HistoryError(DockfraError):
    """The history of the services cannot be written or read; always one line."""


# -- models --


class LLMError(DockfraError):
    """No model gave an answer that can be used; always one line, and never with the key or with what was asked."""


class LLMSettingError(LLMError):
    """The key, the address or a model's name cannot work, or a library is missing; another model would not help."""


class LLMCreditError(LLMError):
    """The account of the key has no credit left."""


class LLMBudgetError(LLMError):
    """What may be used in a day is used up, or it is not known how much is; the model was not asked."""


class LLMRequestError(LLMError):
    """The service refuses the question as it is: it is too long, or not for this model."""


class LLMRefusedError(LLMRequestError):
    """The model or its provider will not answer this question."""


class LLMUnavailableError(LLMError):
    """No model answers, or none in time; later one may."""


class LLMAnswerError(LLMError):
    """What came is no answer: broken, empty, or not what the schema demands."""


class LLMBrokenOffError(LLMAnswerError):
    """The answer ended before its end.

    Args:
        message: one line.
        partial: what had come.
    """

    def __init__(self, message: str, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial


# -- the autopilot --


class AutopilotError(DockfraError):
    """The autopilot cannot decide or remember; always one line."""


class CatalogueError(AutopilotError, UsageError):
    """The catalogue of actions cannot be meant; names file and line."""


class SnapshotError(AutopilotError):
    """What was gathered of the platform has not the form that it has to have."""


class LedgerError(AutopilotError):
    """What the autopilot did cannot be written down or read back."""


# -- backups --


class BackupError(DockfraError):
    """A backup cannot be made, or what is there is none that could be restored."""


class UnsteadyError(BackupError):
    """What was to be copied changed meanwhile; another look may find it at rest."""


class RepositoryError(BackupError):
    """The repository of the backups cannot be used."""
