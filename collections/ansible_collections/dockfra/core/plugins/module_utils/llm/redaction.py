# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes secrets out of a text before it leaves: those that are known by their value, and what looks like one.

A known value is found as it is, in base64, also twice, hexadecimal and percent signs, within a longer text that was
encoded so, in other letters' cases, split over lines by whatever signs, also where these are numbered and have a time, and
where only a part of it is there. To that end a text is *folded*: only ASCII letters and digits stay, all small.
Then each `_PIECE` neighbouring signs are looked up among those of the folded secrets,
which takes the same time for one secret and for a thousand, and grows with the text as it does.
"""

from __future__ import annotations

import base64
import itertools
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import LLMRequestError

HIDDEN = "[hidden]"

# Characters of a text, values, and characters of a value. A longer text is refused, never sent as it is.
MAX_TEXT = 1024 * 1024
MAX_SECRETS = 1000
MAX_SECRET = 64 * 1024

# A value that is shorter is none: it would be found everywhere.
MIN_SECRET = 6

# Signs of a folded value that give it away, wherever they stand.
_PIECE = 16
# Folded values that are shorter than a piece are looked for as a whole, and from this length on also within words.
_MIN_FOLDED = 8

# How often a text may have been encoded.
_MOST_LAYERS = 3
# Bytes of a value that is looked for in base64 of base64 as well, which takes nine needles.
_MOST_TWICE = 512

_BLANK = re.compile(r"\s+")
_SOLID = re.compile(r"\S+")
_FOLDED = re.compile(r"[0-9a-z]+")
# What stands before a line that is shown or logged: its number, quoting, and a time.
_LINE_BEGINS = re.compile(
    r"(?:\n|\\n)(?:[ \t]{0,8}+(?![0-9]{4}-[0-9]{2}-)[0-9]{1,7}+[ \t:|+-]{1,4}+|[-+|>#]{1,2}+[ \t]{0,4}+)?+"
    r"(?:[ \t\[]{0,4}+[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9}+)?+(?:Z|[+-][0-9]{2}:?[0-9]{2})?+)?+"
)
_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
# What stands for another sign: percent signs, and escapes of JSON, of shells and of web pages.
_ESCAPE = re.compile(
    r"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|&#x0{0,4}([0-9A-Fa-f]{2});|&#0{0,4}([0-9]{2,3});|\\([\"'\\/])|\\[nrt]|&[a-z]{2,5};"
)


@dataclass(frozen=True)
class Redacted:
    """A text without secrets.

    Attributes:
        text: what may leave.
        count: places where something was taken out.
    """

    text: str
    count: int


class Redactor:
    """Takes secrets out of texts.

    Args:
        secrets: the values; of an address only what makes it one, of a key's file each line.

    Raises:
        LLMRequestError: there are more than can be looked for.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = {part for secret in secrets for part in _parts(secret) if len(part) >= MIN_SECRET}
        if len(values) > MAX_SECRETS or any(len(value) > MAX_SECRET for value in values):
            raise LLMRequestError(
                f"There are more secrets than can be looked for ({len(values)}, at most {MAX_SECRETS} of "
                f"{MAX_SECRET} characters); nothing is sent. Remove some."
            )
        self._pieces: set[str] = set()
        self._short: set[str] = set()
        self._plain: set[str] = set()
        for value in values:
            self._learn(value)

    def __repr__(self) -> str:
        return "Redactor()"

    def redact(self, text: str) -> Redacted:
        """Return a text without the secrets; raises LLMRequestError when it is too long to be looked through."""
        if len(text) > MAX_TEXT:
            raise LLMRequestError(
                f"The text has {len(text)} characters, and at most {MAX_TEXT} are looked through for secrets; send less of it."
            )
        spans = [*_forms(text)]
        view: _View | None = _View.of(text)
        # What was encoded may have been encoded before.
        for _time in range(_MOST_LAYERS):
            if view is not None:
                spans += self._known(view)
                if lines := view.without(_LINE_BEGINS):
                    spans += self._known(lines)
                view = view.decoded()
        return _without(text, spans)

    def _learn(self, value: str) -> None:
        data = value.encode(errors="surrogatepass")
        needles = [_fold(value), data.hex()]
        for shift in range(3):
            core = _base64_core(data, shift)
            needles.append(_fold(core))
            if len(data) <= _MOST_TWICE:
                needles += (_fold(_base64_core(core.encode(), again)) for again in range(3))
        for needle in needles:
            if len(needle) >= _PIECE:
                self._pieces.update(needle[at : at + _PIECE] for at in range(len(needle) - _PIECE + 1))
            elif len(needle) >= _MIN_FOLDED:
                self._short.add(needle)
        # What consists mostly of other signs than letters and digits is looked for with these.
        if len(needles[0]) < max(_MIN_FOLDED, len(value) // 2):
            self._plain.add(_BLANK.sub("", value))
            if not value.isascii():
                # As its bytes look one by one, once percent signs are decoded.
                self._plain.add(_BLANK.sub("", data.decode("latin-1")))

    def _known(self, view: _View) -> Iterator[tuple[int, int]]:
        """Where values are in a text, as places of the original."""
        folded, places = view.folded()
        spans = _runs(folded, self._pieces) if self._pieces else iter(())
        for begin, end in itertools.chain(spans, _found(folded, self._short)):
            yield view.span(places[begin], places[end])
        if self._plain:
            squeezed, places = view.squeezed()
            for begin, end in _found(squeezed, self._plain):
                yield view.span(places[begin], places[end])


class _View:
    """A text, and for each of its signs the place in the original where it begins.

    Args:
        text: the text.
        places: those, and the end of the original after them.
    """

    def __init__(self, text: str, places: array[int]) -> None:
        self._text = text
        self._places = places

    @classmethod
    def of(cls, text: str) -> _View:
        """A view of the original itself."""
        return cls(text, array("I", range(len(text) + 1)))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where in the original two signs of this view and all between them are."""
        return self._places[first], self._places[last + 1]

    def decoded(self) -> _View | None:
        """The text with the signs that its escapes stand for; None where it has none."""
        return self.without(_ESCAPE, _meant)

    def without(
        self, form: re.Pattern[str], meant: Callable[[re.Match[str]], str] = lambda _match: " "
    ) -> _View | None:
        """The text with one sign in the place of all that has a form; None where nothing has."""
        parts: list[str] = []
        places, at = array("I"), 0
        for match in form.finditer(self._text):
            parts += [self._text[at : match.start()], meant(match)]
            places.extend(self._places[at : match.start() + 1])
            at = match.end()
        if not parts:
            return None
        places.extend(self._places[at:])
        return _View("".join([*parts, self._text[at:]]), places)

    def folded(self) -> tuple[str, array[int]]:
        """The letters and digits of the text, small, and where in this view each is."""
        return _only(_FOLDED, self._text.translate(_SMALL))

    def squeezed(self) -> tuple[str, array[int]]:
        """The text without white space, and where in this view each sign is."""
        return _only(_SOLID, self._text)


def _only(kept: re.Pattern[str], text: str) -> tuple[str, array[int]]:
    parts: list[str] = []
    places = array("I")
    for match in kept.finditer(text):
        parts.append(match[0])
        places.extend(range(match.start(), match.end()))
    return "".join(parts), places


def _runs(text: str, pieces: set[str]) -> Iterator[tuple[int, int]]:
    """The first and the last sign of all that consists of pieces."""
    begin, end = 0, -1
    for at in range(len(text) - _PIECE + 1):
        if text[at : at + _PIECE] in pieces:
            if at > end:
                if end >= 0:
                    yield begin, end
                begin = at
            end = at + _PIECE - 1
    if end >= 0:
        yield begin, end


def _found(text: str, needles: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The first and the last sign of each needle in a text."""
    for needle in needles:
        at = text.find(needle)
        while at >= 0:
            yield at, at + len(needle) - 1
            at = text.find(needle, at + len(needle))


# -- known forms --

_START = r"(?<![A-Za-z0-9_-])"
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# Between two lines of a key: their end, white space, and what numbers lines or quotes them, as in a difference.
_BETWEEN = r"(?:(?:\s|\\[nr]){0,8}+(?:[0-9]{1,7}+[ \t:|+-]{1,4}+|[-+|>#]{1,2}+[ \t]{0,4}+)?+)"
_KEY_LINES = re.compile(rf"(?:{_BETWEEN}[A-Za-z0-9+/=]{{20,}}+)*+(?:{_BETWEEN}[A-Za-z0-9+/=]{{0,80}})")
_MAX_KEY = 32 * 1024
# What a secret is called in code, in whatever letters, and what comes between that and its value.
_CALLED = r"(?i)(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key)"
_QUOTE = r"\\{0,2}[\"']"
_IS = rf"(?:{_QUOTE})?\s{{0,3}}(?::?=|=>|:)\s{{0,3}}"
# What stands there in code that only says what a value is like.
_TYPES = r"(?:string|number|integer|boolean|object|required|optional|undefined|password|secret|hidden)"
# Whole, or where the first group is, that group. Every repetition is bounded, and none can begin inside another.
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"{_START}sk-[A-Za-z0-9_-]{{16,400}}",  # OpenRouter, OpenAI, Anthropic
        rf"{_START}(?:gh[a-z]_[A-Za-z0-9]{{16,300}}|github_pat_[A-Za-z0-9_]{{16,300}}|gl[a-z]{{2,6}}-[A-Za-z0-9_-]{{16,300}})",
        rf"{_START}xox[a-z]-[A-Za-z0-9-]{{10,300}}",  # Slack
        rf"{_START}(?:AKIA|ASIA)[A-Z0-9]{{16}}(?![A-Za-z0-9])",  # AWS
        rf"{_START}AIza[A-Za-z0-9_-]{{35}}",  # Google
        rf"{_START}(?:hf|npm|dckr_pat|shpat|dop_v1|pypi)[_-][A-Za-z0-9_-]{{20,400}}",
        rf"{_START}(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{16,200}}",  # Stripe
        rf"{_START}SG\.[A-Za-z0-9_-]{{16,64}}\.[A-Za-z0-9_-]{{16,64}}",  # SendGrid
        rf"{_START}eyJ[A-Za-z0-9_-]{{8,4000}}\.[A-Za-z0-9_-]{{8,8000}}\.[A-Za-z0-9_-]{{0,4000}}",  # a signed token (JWT)
        r"AGE-SECRET-KEY-1[A-Z0-9]{50,70}",
        r"\$(?:[156y]|2[abxy]|argon2(?:i|d|id))\$[A-Za-z0-9./$=,+-]{20,300}",  # passwords as systems keep them
        r"(?i)\b(?:bearer|basic)\s{1,4}([A-Za-z0-9._~+/-]{12,2000}={0,2})",
        r"(?i)\bx-api-key\s{0,4}:\s{0,4}([^\s]{8,500})",
        r"https://hooks\.slack\.com/services/([A-Za-z0-9/]{8,200})",
        # A variable of a shell or of .env that is called a secret, where it is not taken from another.
        r"(?<![A-Z0-9_])[A-Z0-9_]{0,60}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|PRIVATE_KEY|CREDENTIALS)(?:_[A-Z0-9_]{1,30})?"
        r"\s{0,3}=\s{0,3}[\"']?([^\s\"'${}()\[\]]{6,500})",
        # The same in YAML and JSON, where it is no name of a type.
        r"(?<![A-Z0-9_])[A-Z0-9_]{0,60}(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|PRIVATE_KEY|CREDENTIALS)(?:_[A-Z0-9_]{1,30})?"
        r"[\"']?:\s{1,3}[\"']?(?=[^\s\"']{0,60}[0-9])([^\s\"'${}()\[\],]{6,500})",
        # The same in other letters: quoted, or with a digit and without what calls, indexes or names a variable.
        rf"{_CALLED}{_IS}{_QUOTE}(?![$%]|{_TYPES}{_QUOTE})([^\s\"'\\{{}}\[\]<>]{{6,500}}){_QUOTE}",
        rf"{_CALLED}{_IS}(?=[^\s\"'\\]{{0,60}}[0-9])([^\s\"'\\${{}}()\[\].,;&<>]{{6,500}}+)(?![.(\[$])",
        r"(?i)[?&][a-z0-9_-]{0,30}(?:token|key|password|secret)=([^\s\"'\\&#<>${}()\[\]]{6,500})",
        # Whatever the scheme is called; in prose it has no digit.
        rf"(?i)\bauthorization{_IS}(?:{_QUOTE})?(?:[a-z][a-z0-9-]{{0,30}}\s{{1,4}})?"
        r"(?=\S{0,200}[0-9]|\S{24})([^\s\"'\\,;${}()\[\]<>]{6,2000})",
    )
)
_SCHEME = re.compile(r"[a-z0-9+.-]://")
# Whoever is named in an address: user and password, up to the last @ before its path.
_PASSWORD = re.compile(r"[^\s/@:\"'<>]{0,256}:([^\s/\"'<>]{1,512})@")


def _forms(text: str) -> Iterator[tuple[int, int]]:
    """Where something looks like a secret."""
    yield from _private_keys(text)
    for form in _FORMS:
        for match in form.finditer(text):
            yield match.span(1 if form.groups else 0)
    for scheme in _SCHEME.finditer(text):
        if named := _PASSWORD.match(text, scheme.end()):
            yield named.span(1)


def _private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Private keys in PEM; one without an end goes on as long as what comes looks like a key's lines."""
    ends = [match.end() for match in _KEY_ENDS.finditer(text)]
    position = 0
    for match in _KEY_BEGINS.finditer(text):
        while position < len(ends) and ends[position] < match.end():
            position += 1
        if position < len(ends) and ends[position] - match.start() <= _MAX_KEY:
            yield match.start(), ends[position]
        elif lines := _KEY_LINES.match(text, match.end()):
            yield match.start(), lines.end()


# -- values --


def _parts(secret: str) -> list[str]:
    """What of a value is secret."""
    value = secret.strip()
    if "://" in value and "\n" not in value:
        # Whoever may know the host of an address need not know what comes after it.
        _host, _slash, rest = value.partition("://")[2].partition("/")
        return [value] if len(_fold(rest)) < _MIN_FOLDED else [rest]
    if "-----BEGIN" in value:
        return [line for line in value.splitlines() if not line.startswith("-----")]
    return [value]


def _fold(value: str) -> str:
    return "".join(_FOLDED.findall(value.translate(_SMALL)))


def _base64_core(data: bytes, shift: int) -> str:
    """The signs of base64 that depend on nothing but the data, where it begins so many bytes after a group of three."""
    whole = base64.b64encode(bytes(shift) + data).decode()
    return whole[(shift * 8 + 5) // 6 : (shift + len(data)) * 8 // 6]


def _meant(match: re.Match[str]) -> str:
    """The sign that an escape stands for; one that parts words becomes a blank."""
    code = next((group for group in match.groups()[:4] if group), None)
    if code is not None:
        return chr(int(code, 16))
    return chr(int(match[5])) if match[5] else match[6] or " "


def _without(text: str, spans: list[tuple[int, int]]) -> Redacted:
    """Put `HIDDEN` in the place of each span; those that touch are one."""
    parts, at, count, end = [], 0, 0, -1
    for begin, stop in sorted(spans):
        if begin > end:
            parts += [text[at:begin], HIDDEN]
            count += 1
        at = end = max(end, stop)
    parts.append(text[at:])
    return Redacted("".join(parts), count)
