# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the roles, and the file ``/home/<role>/.env`` that holds those of one role.

The file is one that people may edit and other programs may read: a shell (``. ~/.env``) and the usual readers of such
files find the same values in it. It has the mode 0600, and what is written appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import CommandError, UsageError
from ..files import atomic
from ..locks import file_lock

Value: TypeAlias = "str | int | float | bool"

ROLES = ("manager", "autopilot", "monitor", "developer")
HOMES = Path("/home")
FILE = ".env"
MODE = 0o600

MAX_TEXT = 8000
# A file that is larger is none of ours.
MAX_FILE = 256 * 1024
LOCK_TIMEOUT = 10.0


# -- what a value may be -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What a setting's value may be.

    Attributes:
        rule: completes "NAME must be …".
        parse: returns the value that a text stands for, or None when it stands for none.
    """

    rule: str
    parse: Callable[[str], Value | None]


def _whole(low: int, high: int) -> Kind:
    def parse(text: str) -> int | None:
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else low - 1
        return number if low <= number <= high else None

    return Kind(f"a whole number from {low} to {high}", parse)


def _number(low: float, high: float) -> Kind:
    def parse(text: str) -> float | None:
        number = (
            float(text) if re.fullmatch(r"[+-]?([0-9]{1,4}(\.[0-9]{0,4})?|\.[0-9]{1,4})", text) else low - 1
        )
        return number if low <= number <= high else None

    return Kind(f"a number from {low:g} to {high:g}", parse)


_SWITCH = {
    word: on for on, words in ((True, "true yes on 1"), (False, "false no off 0")) for word in words.split()
}


def _choice(*words: str) -> Kind:
    return Kind(" or ".join(words), lambda text: text.lower() if text.lower() in words else None)


def _form(rule: str, pattern: str) -> Kind:
    compiled = re.compile(pattern, re.ASCII)
    return Kind(rule, lambda text: text if compiled.fullmatch(text) else None)


def _parse_url(text: str) -> str | None:
    """No user, query or fragment: they would end up in logs, or in front of what is added to the address."""
    match = re.fullmatch(
        r"https?://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:([0-9]{1,5}))?(/[A-Za-z0-9._~%:@!,+=/-]*)?",
        text,
    )
    if match is None or len(text) > 1000 or not 0 < int(match[3] or 1) < 65536:
        return None
    return text.rstrip("/")


def _parse_text(text: str) -> str | None:
    bad = any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in text)
    # Before a closing quotation mark, a backslash has no form that all readers of the file agree on.
    return None if bad or len(text) > MAX_TEXT or text.endswith("\\") else text


_BOOLEAN = Kind("true or false (yes, no, on, off, 1, 0)", lambda text: _SWITCH.get(text.lower()))
_URL = Kind("an address like https://host/path, without user, query or fragment", _parse_url)
_TEXT = Kind(
    f"a text of at most {MAX_TEXT} characters without control characters that does not end with a backslash",
    _parse_text,
)
# Also names of several parts, and a variant: meta-llama/llama-3.1-70b-instruct:free
_MODEL = _form(
    "a model as provider/name, for example openai/gpt-4o",
    r"(?=.{3,200}$)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+(:[A-Za-z0-9][A-Za-z0-9._-]*)?",
)
# What an Authorization header can carry (RFC 6750, section 2.1).
_TOKEN = _form(
    "a key as its service gave it: 1 to 500 letters, digits and -._~+/=", r"[A-Za-z0-9._~+/-]{1,480}={0,20}"
)
_REPOSITORY = _form(
    "a repository as owner/name", r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61})/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}"
)


# -- the settings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: in the file and for people.
        kind: what its value may be.
        default: the value where none is set; an empty text means that there is none.
        meaning: what it is for, in one line.
        roles: those that have it.
        secret: whether its value is shown to nobody.
    """

    name: str
    kind: Kind
    default: Value
    meaning: str
    roles: tuple[str, ...] = ROLES
    secret: bool = False

    def clean(self, value: object) -> Value:
        """Return a value as its type, from a text or what JSON can hold.

        Raises:
            UsageError: it cannot be one; the message never repeats it.
        """
        text = written(value).replace("\r\n", "\n").strip() if isinstance(value, str | int | float) else None
        if text == "":
            raise UsageError(f"{self.name} cannot be empty; reset it instead")
        cleaned = None if text is None else self.kind.parse(text)
        if cleaned is None:
            raise UsageError(f"{self.name} must be {self.kind.rule}")
        return cleaned


TABLE: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "OPENROUTER_API_KEY",
            _TOKEN,
            "",
            "The key of the LLM service; without one, the LLM is not asked",
            secret=True,
        ),
        Setting(
            "OPENROUTER_BASE_URL",
            _URL,
            "https://openrouter.ai/api/v1",
            "Where the LLM service answers; any server that speaks OpenAI's protocol will do",
        ),
        Setting("LLM_MODEL", _MODEL, "openai/gpt-4o-mini", "The model that answers"),
        Setting(
            "LLM_MAX_TOKENS", _whole(1, 200_000), 2048, "How long an answer may become; longer ones cost more"
        ),
        Setting(
            "LLM_TEMPERATURE",
            _number(0, 2),
            0.2,
            "How freely the model words its answers; 0 is the steadiest",
        ),
        Setting(
            "LLM_SYSTEM_PROMPT",
            _TEXT,
            "",
            "What the model is told before every question, beside what a command says",
        ),
        Setting(
            "AUTOPILOT_ENABLED",
            _BOOLEAN,
            True,
            "Whether the autopilot looks at the project by itself; when off, pilot-run still does",
            ("autopilot",),
        ),
        Setting(
            "AUTOPILOT_INTERVAL",
            _whole(1, 86_400),
            60,
            "Seconds between two looks of the autopilot",
            ("autopilot",),
        ),
        Setting(
            "AUTOPILOT_MODE",
            _choice("act", "suggest"),
            "act",
            "act: do what the policy admits; suggest: only say what would be done",
            ("autopilot",),
        ),
        Setting(
            "MONITOR_POLL_INTERVAL",
            _whole(1, 86_400),
            30,
            "Seconds between two looks of the monitor",
            ("monitor",),
        ),
        Setting(
            "MONITOR_AUTO_DEPLOY",
            _BOOLEAN,
            True,
            "Whether the monitor deploys what was pushed by itself; when off, deploy-all and the like do",
            ("monitor",),
        ),
        Setting(
            "GITHUB_TOKEN",
            _TOKEN,
            "",
            "A token that may read and write the repository's issues, for ticket-push and ticket-pull",
            ("manager",),
            secret=True,
        ),
        Setting(
            "GITHUB_REPO",
            _REPOSITORY,
            "",
            "The repository whose issues tickets are exchanged with",
            ("manager",),
        ),
        Setting(
            "GITHUB_API_URL",
            _URL,
            "https://api.github.com",
            "Where GitHub answers; for GitHub Enterprise https://host/api/v3",
            ("manager",),
        ),
    )
}


def of(role: str) -> list[Setting]:
    """The settings that a role has, in the order of the table."""
    return [setting for setting in TABLE.values() if role in setting.roles]


def named(name: str, role: str) -> Setting:
    """Return a role's setting by its name; raises UsageError when it has none of that name."""
    setting = TABLE.get(name)
    if setting is None:
        raise UsageError(f"{_repeatable(name)} is no setting{_meant(name, role)}")
    if role not in setting.roles:
        raise UsageError(
            f"{name} is no setting of the {role}; it is one of the {' and the '.join(setting.roles)}"
        )
    return setting


def clean(name: str, value: object, role: str) -> Value:
    """Return the value of a role's setting as its type.

    Raises:
        UsageError: the role has no such setting, or this cannot be its value. The message never repeats the value.
    """
    return named(name, role).clean(value)


def clean_changes(changes: Mapping[str, object], role: str) -> dict[str, Value | None]:
    """Return new values as their types, with None for those that are to be unset.

    Raises:
        UsageError: with everything that is wrong.
    """
    cleaned: dict[str, Value | None] = {}
    problems: list[str] = []
    for name, value in changes.items():
        try:
            setting = named(name, role)
            cleaned[name] = None if value is None else setting.clean(value)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError("; ".join(problems))
    return cleaned


def written(value: Value) -> str:
    """Return a value as people and the file write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _repeatable(name: str) -> str:
    """A name for a message. Whoever mixes up name and value may have typed a secret here, so only what looks like a name."""
    return name if re.fullmatch(r"[A-Za-z_]{1,32}", name) else "what stands for a name there"


def _meant(name: str, role: str) -> str:
    import difflib  # rarely needed, and slow to load

    names = [setting.name for setting in of(role)]
    close = difflib.get_close_matches(name.upper(), names, 1, 0.7)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"


def _intended(name: str, role: str) -> str:
    """The setting that a foreign name is a slip for; most are none, for people keep other things in the file too."""
    import difflib

    close = difflib.get_close_matches(name, [setting.name for setting in of(role)], 1, 0.85)
    return close[0] if close else ""


def _slip(name: str, meant: str) -> str:
    return f"{name} is no setting; did you mean {meant}?" if meant else ""


# -- the file's syntax -------------------------------------------------------------------------------------------------

# Two signs mean something to a shell within double quotes, and one of them to other readers too. None of them agree on a
# way to write the signs there, but all replace ${NAME} by an earlier value.
_SIGNS = {"$": "DOCKFRA_DOLLAR", "`": "DOCKFRA_BACKTICK"}
_SIGN_OF = {name: sign for sign, name in _SIGNS.items()}

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_BLANK = re.compile(r"[ \t]*(#[^\n]*)?\n?")
_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<plain>(?![\#~])[^\s'"\\$`;&|<>()]*) )
        (?:[ \t]+\#[^\n]*|[ \t]*)(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
# A comment that stands for a setting which is not set: the new line belongs below it.
_PLACE = re.compile(r"[ \t]*#[ \t]*([A-Za-z_][A-Za-z0-9_]*)=.*\n?")
_LOOKS_LIKE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)")
_IN_DOUBLE = re.compile(
    r'\\(?P<escaped>["\\$`])|\$\{(?P<sign>DOCKFRA_[A-Z]+)\}|(?P<bad>\\|`|\$(?=[\w{(@*#?$!-]))'
)


@dataclass
class _Entry:
    """Some lines of the file that belong together; ``value`` is None when they set nothing, or nothing that can be read."""

    raw: str
    line: int
    name: str = ""
    value: str | None = None
    reason: str = ""


def _entries(text: str) -> Iterator[_Entry]:
    position, line = 0, 1
    while position < len(text):
        if blank := _BLANK.fullmatch(text, position, _end_of_line(text, position)):
            entry = _Entry(blank[0], line)
        else:
            entry = _assignment(text, position, line) or _unreadable(text, position, line)
        yield entry
        position, line = position + len(entry.raw), line + entry.raw.count("\n")


def _assignment(text: str, position: int, line: int) -> _Entry | None:
    match = _ASSIGNMENT.match(text, position)
    if match is None:
        return None
    double = match["double"]
    value = (match["single"] or match["plain"] or "") if double is None else _unescaped(double)
    if value is None:
        reason = "a shell changes what stands in its double quotes; use single quotes"
        return _Entry(match[0], line, match["name"], None, reason)
    return _Entry(match[0], line, match["name"], value)


def _unreadable(text: str, position: int, line: int) -> _Entry:
    raw = text[position : _end_of_line(text, position)]
    match = _LOOKS_LIKE.match(raw)
    reason = (
        "the line ends as on Windows, with a carriage return"
        if raw.endswith("\r\n")
        else "it is not NAME=value as a shell would read it; quote a value that has blanks or signs"
    )
    return _Entry(raw, line, match[1] if match else "", None, reason)


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _unescaped(text: str) -> str | None:
    """What a shell makes of a text in double quotes; None where that depends on the shell or on other readers."""
    parts, position = [], 0
    for match in _IN_DOUBLE.finditer(text):
        sign = match["escaped"] or _SIGN_OF.get(match["sign"] or "")
        if sign is None:
            return None
        parts += [text[position : match.start()], sign]
        position = match.end()
    return "".join([*parts, text[position:]])


def _escaped(value: str) -> str:
    """A value as the file holds it."""
    if _PLAIN.fullmatch(value):
        return value
    if not any(sign in value for sign in ("'", "\\", "${")):
        return f"'{value}'"
    value = value.replace("\\", r"\\").replace('"', r"\"")
    for sign, name in _SIGNS.items():
        # The dollar comes first, so that those of the names are not replaced.
        value = value.replace(sign, f"${{{name}}}")
    return f'"{value}"'


# -- the file ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Something in the file that could not be used.

    Attributes:
        line: its number, 0 for the whole file.
        name: of the setting it concerns, which has its default; empty where that is unclear.
        reason: what is wrong; never with a value.
        meant: the setting that the line may have been meant for.
    """

    line: int
    name: str
    reason: str
    meant: str = ""

    def to_dict(self) -> dict[str, str | int]:
        """Return it as plain data."""
        return {"line": self.line, "name": self.name, "reason": self.reason}


class Settings:
    """The settings of a role, as they were when the file was read.

    Args:
        role: whose they are.
        values: those that are set.
        problems: what could not be used.
    """

    def __init__(self, role: str, values: Mapping[str, Value], problems: tuple[Problem, ...] = ()) -> None:
        self.role = role
        self.values = values
        self.problems = problems

    def get(self, name: str) -> Any:
        """Return a setting's value as its type, the default where none is set.

        Raises:
            UsageError: the role has no such setting.
        """
        setting = named(name, self.role)
        return self.values.get(name, setting.default)

    def is_set(self, name: str) -> bool:
        """Whether the file sets it."""
        return name in self.values

    def require_usable(self, names: Collection[str]) -> None:
        """Raise CommandError where the file sets one of these in vain: a default is not what was meant then."""
        for problem in self.problems:
            if problem.line == 0:
                raise CommandError(problem.reason)
            if problem.meant in names:
                what = f"{problem.name} {problem.reason}".strip()
                raise CommandError(f"line {problem.line} of {FILE}: {what}")

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """Return all settings as plain data; of a secret only whether it is set."""
        return {
            setting.name: {
                "set": self.is_set(setting.name),
                **({} if setting.secret else {"value": self.get(setting.name)}),
            }
            for setting in of(self.role)
        }


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        changed: names of the settings that differ now.
        settings: all of them afterwards.
    """

    changed: tuple[str, ...]
    settings: Settings


class EnvFile:
    """The file with the settings of one role. Any number of processes may use it.

    Args:
        path: the file; its directory exists.
        role: whose settings they are.
        lock_timeout: seconds to wait for another writer.
    """

    def __init__(
        self, path: str | os.PathLike[str], role: str, *, lock_timeout: float = LOCK_TIMEOUT
    ) -> None:
        self.path = Path(path)
        self.role = role
        self._lock_timeout = lock_timeout
        self._seen: tuple[int, ...] | None = None
        self._latest: Settings | None = None

    @classmethod
    def of(cls, role: str) -> EnvFile:
        """The file in a role's own container."""
        return cls(HOMES / role / FILE, role)

    def read(self) -> Settings:
        """Return the settings; what cannot be used is among their problems, and its default holds."""
        self._seen = self._state()
        try:
            return self._settings(self._text())
        except CommandError as error:
            return Settings(self.role, {}, (Problem(0, "", str(error)),))

    def changed(self) -> bool:
        """Whether the file is another one than this object read last; costs one look at the directory."""
        return self._seen is None or self._seen != self._state()

    def latest(self) -> Settings:
        """Return the settings, read again only when the file changed: for daemons, before each round."""
        if self._latest is None or self.changed():
            self._latest = self.read()
        return self._latest

    def update(self, changes: Mapping[str, object], *, dry_run: bool = False) -> Update:
        """Set some settings, all or none; the new file is on the disk when this returns.

        Args:
            changes: new values by name; None unsets one.
            dry_run: only say what would change.

        Raises:
            UsageError: a name or a value is wrong; nothing was changed.
            CommandError: the file cannot be written; nothing was changed.
        """
        cleaned = clean_changes(changes, self.role)
        with self._locked() as folder:
            text = self._text()
            before = self._settings(text)
            entries = list(_entries(text))
            there = {entry.name for entry in entries}
            changed = tuple(
                name
                for name, value in cleaned.items()
                if (before.values.get(name) != value if value is not None else name in there)
            )
            after = text
            if changed:
                after = _edited(entries, {name: cleaned[name] for name in changed})
                if not dry_run:
                    self._replace(folder, after)
            return Update(changed, self._settings(after))

    def create(self) -> bool:
        """Make the file, with every setting as a comment, where there is none; returns whether it did."""
        with self._locked() as folder:
            if os.path.lexists(self.path):
                return False
            self._replace(folder, template(self.role))
            return True

    def _settings(self, text: str) -> Settings:
        values: dict[str, Value] = {}
        problems: dict[str, Problem] = {}
        mine = {setting.name: setting for setting in of(self.role)}
        for entry in _entries(text):
            # A shell goes by the last line of a name, and so does everybody.
            if entry.name in mine:
                values.pop(entry.name, None)
                problems.pop(entry.name, None)
            reason, meant = entry.reason, entry.name if entry.name in mine else ""
            if entry.name in mine and entry.value:
                try:
                    values[entry.name] = mine[entry.name].clean(entry.value)
                except UsageError as error:
                    reason = str(error).removeprefix(f"{entry.name} ")
            elif entry.name.isupper() and entry.name not in (*TABLE, *_SIGN_OF) and not reason:
                meant = _intended(entry.name, self.role)
                reason = _slip(entry.name, meant)
            if reason:
                name = entry.name if entry.name in mine else ""
                problems[name or f"line {entry.line}"] = Problem(entry.line, name, reason, meant)
        return Settings(self.role, values, tuple(sorted(problems.values(), key=lambda problem: problem.line)))

    def _state(self) -> tuple[int, ...]:
        try:
            found = os.stat(self.path)
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)

    def _text(self) -> str:
        """What is in the file, nothing when there is none; raises CommandError when it cannot be read."""
        try:
            # Not blocking: somebody may have put a pipe there.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise CommandError(f"{self.path} is no file; remove it")
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CommandError(
                f"{self.path} cannot be read: {error.strerror}; put that right first"
            ) from error
        if len(data) > MAX_FILE:
            raise CommandError(f"{self.path} has more than {MAX_FILE} bytes; shorten or remove it")
        # What is no UTF-8 becomes signs that no setting may have, and is written back as it was.
        return data.decode(errors="surrogateescape")

    def _replace(self, folder: int, text: str) -> None:
        data = text.encode(errors="surrogateescape")
        try:
            atomic.replace(self.path.name, data, mode=MODE, dir_fd=folder, temporary=f"{FILE}.new")
        except OSError as error:
            raise self._unwritable(error) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the directory and yield it: a lock file of its own would be one more thing in people's home."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            if not file_lock.take(folder, self._lock_timeout):
                raise CommandError(
                    f"{self.path} is being changed by somebody else for more than {self._lock_timeout:g} s; try again"
                )
            yield folder
        finally:
            os.close(folder)

    def _unwritable(self, error: OSError) -> CommandError:
        return CommandError(f"{self.path} cannot be written: {error.strerror}; nothing was changed")


def template(role: str) -> str:
    """Return a file that sets nothing and names everything."""
    lines = [
        f"# Settings of the {role}. They can be set here, from outside with playbooks/configure.yml, and those of the",
        "# developer and the monitor with the manager's config-developer and config-monitor. A change holds at once.",
        "# A line is NAME=value; a value with blanks or signs stands in single quotes.",
    ]
    for setting in of(role):
        lines += ["", f"# {setting.meaning}.", f"# Value: {setting.kind.rule}."]
        lines.append(f"#{setting.name}={_escaped(written(setting.default)) if setting.default != '' else ''}")
    return "\n".join([*lines, ""])


def _edited(entries: list[_Entry], changes: Mapping[str, Value | None]) -> str:
    """Return the file with some settings changed and everything else as it was."""
    kept = [entry for entry in entries if entry.name not in _SIGN_OF]
    for name, value in changes.items():
        found = [index for index, entry in enumerate(kept) if entry.name == name]
        place = found[-1] + 1 if found else _place(kept, name)
        if value is not None:
            kept.insert(place, _Entry(f"{name}={_escaped(written(value))}\n", 0))
        for index in reversed(found):
            del kept[index]
    for entry in kept[:-1]:
        # The last line of a file may lack its end.
        entry.raw = entry.raw if entry.raw.endswith("\n") else f"{entry.raw}\n"
    body = "".join(entry.raw for entry in kept)
    signs = [f"{name}='{sign}'\n" for sign, name in _SIGNS.items() if f"${{{name}}}" in body]
    return "".join([*signs, body])


def _place(entries: list[_Entry], name: str) -> int:
    """Where the line of a setting belongs that has none: below the comment that stands for it, else at the end."""
    for index, entry in enumerate(entries):
        if (match := _PLACE.fullmatch(entry.raw)) and match[1] == name:
            return index + 1
    return len(entries)
