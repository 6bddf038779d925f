# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Exit statuses, and the one line for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils import errors
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import codes
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import one_line

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DockfraError)
         and kind not in (errors.TopologyError, errors.MisplacedError)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_library_has_a_status(kind: type[errors.DockfraError]) -> None:
    wanted = codes.FAILED
    if issubclass(kind, errors.DeniedError):
        wanted = codes.DENIED
    elif issubclass(kind, errors.UsageError):
        wanted = codes.USAGE
    elif issubclass(kind, errors.BusyError):
        wanted = codes.BUSY
    elif issubclass(kind, errors.LateError):
        wanted = codes.LATE
    error = kind("x")
    assert "x" in str(error)
    assert codes.status(error) == wanted
    assert codes.message("c", error) == ("denied: x" if wanted == codes.DENIED else f"c: {error}")


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (SystemExit("x"), 1), (ValueError(), 1), (OSError(), 1)],
)  # fmt: skip
def test_other_ends(error: BaseException, status: int) -> None:
    assert codes.status(error) == status


@given(st.text(st.characters(exclude_categories=()), max_size=3000), st.sampled_from(KINDS))
def test_a_message_is_one_short_line(text: str, kind: type[errors.DockfraError]) -> None:
    one_line(codes.message("command", kind(text)))
    one_line(codes.message(f"command{text}", kind("x")))


@pytest.mark.parametrize("sign", ["\x1b", "\u202e", "\ud800", "\U0010ffff"])
def test_a_very_long_message_keeps_its_beginning_and_its_advice(sign: str) -> None:
    text = codes.message(
        "ticket-list", errors.UsageError(f"unrecognized arguments: {sign * 100_000}; try --help")
    )
    assert text.startswith("ticket-list: unrecognized arguments: ")
    assert text.endswith("; try --help")
    assert len(text) <= codes.MAX_MESSAGE + 3
    assert text.isprintable()


def test_an_unforeseen_error_does_not_tell_its_text() -> None:
    assert "hunter2" not in codes.message("c", RuntimeError("hunter2"))


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_an_unforeseen_error_says_where_it_comes_from() -> None:
    text = codes.message("c", raised(KeyError("hunter2")))
    assert text.startswith("c: unexpected KeyError in test_codes.py, line ")
    assert text.endswith("; please report it with what you did")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "/data/x"), "/data/x: No such file or directory"),
        (PermissionError(13, "Permission denied", b"/data/\xff"), r"/data/\udcff: Permission denied"),
        (OSError(18, "Invalid cross-device link", "/a", None, "/b"), "/a and /b: Invalid cross-device link"),
        (OSError(28, "No space left on device"), "the system refuses: No space left on device"),
        (TimeoutError(), "the system refuses: TimeoutError"),
        (MemoryError(), "there is not enough memory for it here"),
    ],
)
def test_an_error_of_the_system_names_its_object_and_is_no_bug_finding_u13(
    error: BaseException, said: str
) -> None:
    assert codes.message("disk-space", error) == f"disk-space: {said}"


def test_an_error_without_words_says_so() -> None:
    assert codes.message("c", errors.CommandError("")) == "c: failed without a reason"
