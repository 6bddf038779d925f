# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Text for people: tables that fit the terminal, and colour where there is one."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple, TextIO

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bold": 1, "dim": 2}

# What a terminal would obey, or what changes the direction of a text, and what has no form in UTF-8. Such text can come
# from another container, or from a file's name. The colours above are meant.
_OBEYED = re.compile(
    r"\x1b(?!\[(?:0|1|2|31|32|33|36)m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f"
    r"\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

# The beginning of what may become one of the colours.
_BEGUN = re.compile(r"\x1b(\[[0-9]{0,2})?\Z")

# What a line editor on a terminal without abilities moves the cursor with.
_MOVES = ("\b", "\r")


class Style(NamedTuple):
    """How to write for a reader.

    Attributes:
        colour: whether colours may be used.
        width: columns of the terminal.
    """

    colour: bool = False
    width: int = 100

    @classmethod
    def of(cls, stream: IO[str] | None) -> Style:
        """The style for a stream: colours on a terminal only, and never with NO_COLOR (https://no-color.org)."""
        if not is_terminal(stream):
            return cls()
        return cls(not os.environ.get("NO_COLOR"), columns(100))

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour: red, green, yellow, cyan, bold or dim; an empty one stands for none."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.colour and text and colour else text


def columns(default: int) -> int:
    """The terminal's width, as shutil.get_terminal_size finds it, which loads all that packs and unpacks archives."""
    with suppress(KeyError, ValueError):
        if (width := int(os.environ["COLUMNS"])) > 0:
            return width
    with suppress(ValueError, OSError):
        if sys.__stdout__ is not None:
            return os.get_terminal_size(sys.__stdout__.fileno()).columns or default
    return default


def prepare() -> None:
    """See to it that standard input, output and error are open: no other file may get one of their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a person sits behind a stream; Python has None for one that was closed before it began."""
    return stream is not None and stream.isatty()


def write(stream: TextIO, text: str, end: str = "\n") -> None:
    """Write lines in UTF-8, whatever the language of the process; raises OSError.

    What a terminal would obey is written as JSON does, for example ``\\u009b``.
    """
    stream.flush()
    stream.buffer.write(f"{printable(text)}{end}".encode())
    stream.buffer.flush()


def standard_input() -> IO[bytes]:
    """The process's input; an empty one where it was closed."""
    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer


def put(stream: TextIO | None, text: str, end: str = "\n") -> None:
    """Write lines, if there are any, to a stream that may have been closed before it began; raises OSError.

    Args:
        stream: where.
        text: the lines.
        end: what follows them; nothing where the line goes on.
    """
    if not text:
        return
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        write(stream, text, end)
    except (OSError, KeyboardInterrupt):
        # What is left in the buffer must not make Python complain once more at its end.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        raise


def redraw(stream: TextIO, text: str, *, clear: bool = False) -> None:
    """Put text in the place of what a terminal shows, as much of it as there is room for; raises OSError.

    Args:
        stream: a terminal.
        text: its lines.
        clear: whether what stood there before is anything else.
    """
    try:
        rows = os.get_terminal_size(stream.fileno()).lines or 24
    except OSError:
        rows = 24
    lines = printable(text).splitlines()
    if len(lines) >= rows:
        # The last one sums up.
        kept = max(1, rows - 3)
        lines = [*lines[:kept], f"\N{HORIZONTAL ELLIPSIS} {len(lines) - kept - 1} lines more", lines[-1]]
    # From the top, each line to its end, and what is below: nothing flickers.
    drawn = "\033[H" + "".join(f"{line}\033[K\r\n" for line in lines) + "\033[J"
    stream.flush()
    stream.buffer.write(("\033[2J" * clear + drawn).encode())
    stream.buffer.flush()


def printable(text: str) -> str:
    """Return the text with nothing in it that a terminal would obey, except this module's colours."""
    return _OBEYED.sub(lambda found: _written(found[0]), text)


class Filter:
    """Makes text of a stream of bytes from elsewhere that a terminal may get: see `printable`.

    Args:
        editing: whether a line editor writes it, which goes back in the line.
    """

    def __init__(self, editing: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = ""
        self._moves = _MOVES if editing else ()

    def feed(self, data: bytes) -> str:
        """Return the text of the next bytes; without any it is the rest."""
        text = self._kept + self._decoder.decode(data, final=not data)
        begun = _BEGUN.search(text) if data else None
        self._kept = begun[0] if begun else ""
        text = text.removesuffix(self._kept)
        return _OBEYED.sub(lambda found: found[0] if found[0] in self._moves else _written(found[0]), text)


def _written(sign: str) -> str:
    return f"\\u{ord(sign):04x}"


def table(
    style: Style,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    colours: dict[str, str] | None = None,
) -> str:
    """Return a table; its last column is cut to the terminal's width.

    Args:
        style: how to write.
        headings: of the columns.
        rows: their cells.
        colours: colour by the text of a cell.
    """
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(headings, *cells, strict=True)]
    last = max(20, style.width - sum(width + 2 for width in widths[:-1]))
    lines = [style.paint(_row(headings, widths).rstrip(), "bold")]
    for row in cells:
        row[-1] = cut(row[-1], last)
        padded = [_pad(cell, width) for cell, width in zip(row[:-1], widths, strict=False)] + [row[-1]]
        painted = [
            style.paint(shown, (colours or {}).get(cell, "")) if cell in (colours or {}) else shown
            for cell, shown in zip(row, padded, strict=True)
        ]
        lines.append("  ".join(painted).rstrip())
    return "\n".join(lines)


def cell_width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, width: int) -> str:
    """Return the text in at most ``width`` columns."""
    if cell_width(text) <= width:
        return text
    room, kept = width - 1, 0
    for sign in text:
        room -= _width(sign)
        if room < 0:
            break
        kept += 1
    return f"{text[:kept]}\N{HORIZONTAL ELLIPSIS}"


def wrapped(text: str, style: Style, indent: str = "  ") -> str:
    """Return a longer text indented, its own line breaks kept."""
    import textwrap  # a list needs none

    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line, max(20, min(style.width, 100) - len(indent)), break_long_words=False
        ) or [""]
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def beside(text: str, indent: int, width: int) -> str:
    """Return a text for the place beside something: its further lines are indented, and no word is broken."""
    import textwrap

    room = max(20, width - indent)
    return f"\n{' ' * indent}".join(textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False))


def _width(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_pad(cell, width) for cell, width in zip(cells, widths, strict=True))


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_width(text))
