# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings there are: whose they are, what each may be, and what it is where nobody sets it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import UsageError
from ..github.address import parse_repository
from ..policy.roles import ROLES
from ..text import invisible

Value: TypeAlias = "str | int | float | bool"

MAX_TEXT = 8000
MAX_ENTRIES = 10

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
    rule = f"{', '.join(words[:-1])} or {words[-1]}"
    return Kind(rule, lambda text: text.lower() if text.lower() in words else None)


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
    # A model would read what a person does not see.
    bad = bad or bool(invisible(text, allowed=_WRITING))
    # Before a closing quotation mark, a backslash has no form that all readers of the file agree on.
    return None if bad or len(text) > MAX_TEXT or text.endswith("\\") else text


def _parse_repository(text: str) -> str | None:
    found = parse_repository(text)
    return None if found is None else str(found)


def _several(entry: Kind, what: str, example: str) -> Kind:
    """Some values of a kind, each once, in the order they are written in."""

    def parse(text: str) -> str | None:
        entries = [entry.parse(word) for word in re.split(r"[,\s]+", text) if word]
        if not 0 < len(entries) <= MAX_ENTRIES or None in entries:
            return None
        return ",".join(dict.fromkeys(map(str, entries)))

    return Kind(f"at most {MAX_ENTRIES} {what}, parted by commas, for example {example}", parse)


# Signs without a width that scripts and emoji need, and the spaces of French and of numbers.
_WRITING = "\u200c\u200d\u00a0\u202f"

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
_REPOSITORY = Kind("a repository as owner/name, or its address", _parse_repository)
# Whoever knows the address may send, so it is a secret; it may have a query. A service of Apprise has a scheme of its own.
_WEBHOOK = _form(
    "an address",
    r"(?=.{1,1000}$)(https?://[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~%:@!$&'()*+;=/?-]*)?"
    r"|(?!https?:)[a-z][a-z0-9]{1,30}://[A-Za-z0-9._~%:@!$&'()*+;=/?#-]+)",
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
            hidden = invisible(text or "")
            raise UsageError(
                f"{self.name} holds the invisible sign {hidden}; remove it"
                if hidden
                else f"{self.name} must be {self.kind.rule}"
            )
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
            "LLM_FALLBACK_MODELS",
            _several(_MODEL, "models as provider/name", "openai/gpt-4o,mistralai/mistral-large"),
            "",
            "Models that are asked in this order where LLM_MODEL does not answer",
        ),
        Setting(
            "LLM_DAILY_TOKENS",
            _whole(0, 1_000_000_000),
            1_000_000,
            "Tokens of questions and answers a day (UTC); when they are used up, the LLM is not asked until the next",
        ),
        Setting(
            "LLM_DAILY_COST",
            _number(0, 9999),
            5.0,
            "US dollars a day (UTC); when they are spent, the LLM is not asked until the next",
        ),
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
            _choice("observe", "suggest", "approve", "act"),
            "act",
            "observe: look only; suggest: say what would be done; approve: what changes something waits for a person; "
            "act: do what the policy admits, the rest waits for a person",
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
            "ALERT_URLS",
            _several(_WEBHOOK, "addresses", "https://hooks.example.com/T0/B0"),
            "",
            "Where the monitor sends alerts: webhooks, which get JSON, or other services in the form of Apprise",
            ("monitor",),
            secret=True,
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
