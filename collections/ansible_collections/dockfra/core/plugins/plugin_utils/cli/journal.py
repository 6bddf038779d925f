# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The line that a call leaves in the audit log: the same for a caller at the gate and for a person at home."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ...module_utils.audit import files, underway
from ...module_utils.audit.log import AuditLog
from ...module_utils.errors import DockfraError
from ...module_utils.processes.signals import Signals
from . import codes
from .call import StrPath
from .outcome import Outcome
from .refusals import Refusals

# What an audit line keeps of a call, in words, in characters of each, and in bytes of all, which leaves room for the rest
# of `lines.MAX_LINE`.
MAX_WORDS = 40
MAX_WORD = 200
MAX_BYTES = 16 * 1024

# What it keeps of a call that was refused, in bytes: one caller's refusals must not fill another's log.
MAX_REFUSED = 512

# Values that are secrets come on the input. One that was typed into the line by mistake must not stay in the log, under
# the name of a setting or any other.
_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|passwd|credential)")
_SECRET_FOLLOWS = re.compile(r"--?[\w-]+|[A-Z][A-Z0-9_]*")
_NAMED = r"(?:^|[^a-z])(?:api_?)?(?:key|token|secret|password|passwd|credential|authorization)[\"']?\s*[=:]"
_SECRET_WITHIN = re.compile(rf"(?is)({_NAMED}).*")
_SECRET_BEFORE = re.compile(rf"(?is){_NAMED}$")
_SECRET_VALUE = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{8,}|gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|(?i:bearer)\s+[\w.~+/=-]{8,})"
)

_VERDICTS = {codes.DENIED: "denied", codes.USAGE: "invalid", codes.BUSY: "busy"}


def log_path(service: str, directory: StrPath | None = None) -> str:
    """Return where a service's audit log is: in `files.DIRECTORY`, unless another is given."""
    return os.path.join(files.DIRECTORY if directory is None else directory, f"{service}.jsonl")


class Journal:
    """Lets calls be done, each with its line in the audit log.

    Args:
        log: the audit log of this container.
        role: what the policy calls the container.
        caller: who asks; at home the role itself.
        refusals: counts those of the caller; without them each has a line.
    """

    def __init__(self, log: AuditLog, role: str, caller: str, refusals: Refusals | None = None) -> None:
        self._log = log
        self._role = role
        self._caller = caller
        self._refusals = refusals

    def kept(self, name: str, words: Sequence[str], work: Callable[[], Outcome]) -> Outcome:
        """Do a call and return how it ended; it is in the log by then, and where that cannot be written it is not done.

        Of a caller that is refused all the time, the log has the number of further refusals instead of each.

        Args:
            name: what speaks of errors before and after the call.
            words: what is asked.
            work: does it.
        """
        started = time.monotonic()
        ended: BaseException | None = None
        with suppress(DockfraError):  # this call's own line says so
            underway.tell_lost(self._log)
        # A signal ends what the command does. It cannot come between that and the audit line.
        with Signals() as signals, underway.noted(self._log.path, self._entry(words, MAX_BYTES)):
            try:
                with signals.heeded():
                    self._log.check()
                    outcome = work()
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
                outcome = Outcome(codes.status(error), "", codes.message(name, error))
            except BaseException as error:  # noqa: BLE001  raised again below
                ended = error
                outcome = Outcome(codes.status(error))
            outcome = self._written(name, words, outcome, started)
        if ended is not None:
            raise ended
        return outcome

    def _written(self, name: str, words: Sequence[str], outcome: Outcome, started: float) -> Outcome:
        verdict = _VERDICTS.get(outcome.status, "allowed")
        try:
            if verdict != "allowed" and self._refusals is not None and not self._refusals.one_more():
                if (line := self._refusals.due()) is not None:
                    self._log.append({**line, "role": self._role, "result": outcome.status})
                return outcome
            self._log.append(
                {
                    **self._entry(words, MAX_BYTES if verdict == "allowed" else MAX_REFUSED),
                    "verdict": verdict,
                    "result": outcome.status,
                    "duration": round(time.monotonic() - started, 3),
                }
            )
        except DockfraError as error:
            return Outcome(codes.status(error), "", codes.message(name, error))
        return outcome

    def _entry(self, words: Sequence[str], most: int) -> dict[str, Any]:
        return {"caller": self._caller, "role": self._role, **record(words, most)}


def record(words: Sequence[str], most: int = MAX_BYTES) -> dict[str, Any]:
    """Return a call's words as the audit log keeps them: cut, at most so many bytes, and without what looks like a secret."""
    kept: list[str] = []
    size = 0
    before = ""
    for word in words[:MAX_WORDS]:
        masked = _masked(word, before)
        if word in ("=", ":"):  # on their own they belong to the name before them
            before += word
        elif word.lower() != "basic":  # nor is this a secret that follows "Authorization:"
            before = word
        entry = masked if len(masked) <= MAX_WORD else f"{masked[:MAX_WORD]}…"
        size += len(json.dumps(entry))
        if size > most:
            break
        kept.append(entry)
    if len(kept) < len(words):
        kept.append(f"… {len(words) - len(kept)} words more")
    return {"verb": kept[0] if kept else "", "arguments": kept[1:]}


def _masked(word: str, before: str) -> str:
    """A word of a call without secrets: those told by the word before, by a name in the word, or by their own form."""
    if word in ("=", ":"):
        return word
    if not word.startswith("-") and _tells_secret(before, word):
        return "***"
    name, sign, _value = word.partition("=")
    if sign and not re.search(r"\s", name) and _names_secret(name):
        word = f"{name}=***"
    return _SECRET_VALUE.sub("***", _SECRET_WITHIN.sub(r"\1***", word))


def _tells_secret(before: str, word: str) -> bool:
    if before.lower() == "bearer":
        return len(word) >= 8  # and no word of a sentence
    return bool(
        (_SECRET_FOLLOWS.fullmatch(before) and _names_secret(before)) or _SECRET_BEFORE.search(before)
    )


def _names_secret(name: str) -> bool:
    from ...module_utils.settings import catalogue  # most calls name nothing that could be a setting

    setting = catalogue.TABLE.get(name)
    return setting.secret if setting else _SECRET_NAME.search(name) is not None
