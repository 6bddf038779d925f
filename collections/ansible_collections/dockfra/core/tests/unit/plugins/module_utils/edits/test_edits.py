# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Edits that a model proposes: what files become, byte for byte, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import jsonschema
import pytest

from ansible_collections.dockfra.core.plugins.module_utils.edits import apply as applying
from ansible_collections.dockfra.core.plugins.module_utils.edits.apply import Changes, apply, readable
from ansible_collections.dockfra.core.plugins.module_utils.edits.model import (
    MAX_EDITS,
    SCHEMA,
    Deletion,
    Edit,
    Proposal,
    digest,
)
from ansible_collections.dockfra.core.plugins.module_utils.edits.paths import Paths
from ansible_collections.dockfra.core.plugins.module_utils.errors import EditRefusedError
from ansible_collections.dockfra.core.plugins.module_utils.llm import schemas

MARK = b"\xef\xbb\xbf"
MODES = MappingProxyType(
    {
        "README.md": "100644",
        "app/run": "100755",
        "app/main.py": "100644",
        "app/link": "120000",
        "linked": "120000",
        "other": "160000",
    }
)
FILES = MappingProxyType(
    {
        "README.md": b"first\nsecond\nthird\n",
        "app/main.py": b"def main():\n    return 1\n",
        "app/run": b"#!/bin/sh\n",
    }
)


def one(
    content: bytes, *edits: tuple[str, str], path: str = "file", base: str = "", hidden: str = ""
) -> bytes | None:
    """What one file becomes."""
    entries = tuple(Edit(path, old, new, base or digest(content)) for old, new in edits)
    return apply(Proposal("x", entries), {path: "100644"}, {path: content}, hidden)[path]


def refused(
    *entries: Edit | Deletion,
    modes: Mapping[str, str] = MODES,
    sent: Mapping[str, bytes] = FILES,
    hidden: str = "",
) -> str:
    edits = tuple(entry for entry in entries if isinstance(entry, Edit))
    deletions = tuple(entry for entry in entries if isinstance(entry, Deletion))
    with pytest.raises(EditRefusedError) as caught:
        apply(Proposal("x", edits, deletions), modes, sent, hidden)
    assert "\n" not in str(caught.value)
    assert all(reason.endswith(".") for reason in caught.value.reasons)
    return str(caught.value)


def on(path: str, old: str, new: str) -> Edit:
    """An edit of a file as it was sent."""
    return Edit(path, old, new, digest(FILES[path]))


# -- content --


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"one\ntwo\n", "two", "2", b"one\n2\n"),
        (b"one\r\ntwo\r\nthree\r\n", "two\nthree\n", "2\n3\n4\n", b"one\r\n2\r\n3\r\n4\r\n"),
        (b"one\r\ntwo\r\n", "two", "2\n3", b"one\r\n2\r\n3\r\n"),
        (b"one\ntwo\n", "one\r\ntwo\r\n", "1\r\n2\r\n", b"1\n2\n"),
        (MARK + b"one\r\ntwo\r\n", "one\ntwo\n", "1\n2\n", MARK + b"1\r\n2\r\n"),
        (MARK + b"one\n", "\ufeffone", "\ufeff1", MARK + b"1\n"),
        (b"if x:\n\tdo()\n", "\tdo()", "\tdo()\n\tmore()", b"if x:\n\tdo()\n\tmore()\n"),
        (b"one\ntwo", "two", "2", b"one\n2"),
        (b"one\ntwo", "two\n", "2\n", b"one\n2"),
        (b"one\r\ntwo", "one\ntwo\n", "1\n2\n", b"1\r\n2"),
        ("grüße\n".encode(), "grüße", "Grüße 🎉", "Grüße 🎉\n".encode()),
        (b"a\x0cb\n", "a\x0cb", "c", b"c\n"),
        (b"one\n\ntwo\n", "one\n\ntwo", "one\ntwo", b"one\ntwo\n"),
        (b"one\n", "one\n", "", b""),
        # What stays is as it was, also where line ends are mixed.
        (b"a\r\nb\nc\r\nd\n", "a\nb\nc\nd\n", "a\nB\nc\nd\n", b"a\r\nB\nc\r\nd\n"),
        (b"", "", "new\n", b"new\n"),
    ],
)
def test_a_file_changes_in_one_place_and_keeps_its_form(
    before: bytes, old: str, new: str, after: bytes
) -> None:
    assert one(before, (old, new)) == after


def test_edits_of_one_file_speak_of_what_was_sent() -> None:
    assert one(b"a\nb\nc\n", ("c", "b"), ("b", "a"), ("a", "c")) == b"c\na\nb\n"


@pytest.mark.parametrize(
    ("before", "old", "says"),
    [
        (b"x = 1\ny = 2\nx = 1\n", "x = 1", "more than once (at lines 1, 3)"),
        (b"aaa\n", "aa", "more than once"),
        (b"a\r\nb\r\na\r\nb\r\n", "a\nb\n", "more than once"),
        (b"x\n" * 50, "x", "(at lines 1, 2, 3, 4, 5 and further)"),
        (b"\tx = 1\n", "    x = 1", "does not stand there"),
        (b"x  =  1\n", "x = 1", "does not stand there"),
        (b"X = 1\n", "x = 1", "does not stand there"),
        (b"one\ntwo\n", "two\n\n", "does not stand there"),
        (b"one\n", "", "is there already"),
    ],
)
def test_nothing_is_guessed(before: bytes, old: str, says: str) -> None:
    with pytest.raises(EditRefusedError) as caught:
        one(before, (old, "new"))
    assert says in str(caught.value)


def test_edits_do_not_overlap() -> None:
    with pytest.raises(EditRefusedError, match="overlap"):
        one(b"a\nb\nc\n", ("a\nb", "1"), ("b\nc", "2"))


def test_another_base_is_refused() -> None:
    with pytest.raises(EditRefusedError, match=r"The base of 'file' is [0-9a-f]{16}, not 'none'"):
        one(b"a\n", ("a", "b"), base="none")
    with pytest.raises(EditRefusedError, match=r"not 'f{16}'"):
        one(b"a\n", ("a", "b"), base="f" * 16)


@pytest.mark.parametrize(
    "new",
    [
        "a()\n# ... rest of the code unchanged\n",
        "// ...existing code...\n",
        "/* \u2026 remaining functions */",
        "# the rest of the file stays the same",
        "<!-- existing code here -->",
    ],
)
def test_nothing_is_left_out(new: str) -> None:
    with pytest.raises(EditRefusedError, match="leaves something out"):
        one(b"a\nb\n", ("a\n", new))


def test_what_only_looks_left_out_stays() -> None:
    said = b"# the rest of the file stays the same\n"
    assert one(said + b"x\n", (said.decode() + "x", said.decode() + "y")) == said + b"y\n"
    assert one(b"def f(*rest): ...\n", ("rest): ...", "others): ...")) == b"def f(*others): ...\n"


@pytest.mark.parametrize("new", ["a\0b", "a\ud800b"])
def test_what_is_no_text_is_refused(new: str) -> None:
    with pytest.raises(EditRefusedError, match=r"NUL|UTF-8"):
        one(b"a\n", ("a", new))


def test_what_a_secret_was_taken_out_of_is_left_alone() -> None:
    content = b"password = hunter2\nport = 1\n"
    for old, new in (("password = [hidden]", "password = x"), ("port = 1", "port = 1\npassword = [hidden]")):
        with pytest.raises(EditRefusedError, match="has a secret where"):
            one(content, (old, new), hidden="[hidden]")
    assert one(content, ("port = 1", "port = 2"), hidden="[hidden]") == b"password = hunter2\nport = 2\n"
    # Where nothing was taken out, the words are the file's own.
    assert one(b"[hidden] { }\n", ("[hidden] { }", "[hidden] { x }")) == b"[hidden] { x }\n"


def test_what_is_no_text_is_neither_shown_nor_edited() -> None:
    for content in (b"\x00\x01", b"\xff\xfe", b"x" * (applying.MAX_FILE + 1)):
        assert readable(content) is None
        with pytest.raises(EditRefusedError, match="no text, or too long"):
            one(content, ("x", "y"))


# -- all or nothing --


def test_a_whole_proposal() -> None:
    edits = (on("README.md", "second", "2"), Edit("app/new.py", "", "x = 1\n", "none"))
    changes = apply(Proposal("x", edits, (Deletion("app/run", digest(FILES["app/run"])),)), MODES, FILES)
    assert changes == {"README.md": b"first\n2\nthird\n", "app/new.py": b"x = 1\n", "app/run": None}


def test_a_third_edit_that_fails_takes_the_others_with_it() -> None:
    said = refused(
        on("README.md", "first", "1"), on("app/main.py", "return 1", "return 2"), on("app/run", "bash", "sh")
    )
    assert said.startswith("In 'app/run', old does not stand there")


def test_all_reasons_are_told_up_to_a_limit() -> None:
    assert refused(on("README.md", "x", "y"), on("app/run", "x", "y")).count("does not stand there") == 2
    many = [Edit(f"gone/{number}", "x", "y", "none") for number in range(30)]
    assert refused(*many).endswith("There are 20 further reasons.")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "change nothing"),
        ([on("README.md", "first", "first")], "change nothing"),
        ([Edit("app/new", "x", "y", "none")], "its old has to be empty"),
        ([Edit("app/new", "", "y", "f" * 16)], "'app/new' is not there"),
        ([Edit("n", "", "1", "none"), Edit("n", "", "2", "none")], "more than once"),
        ([Edit("n", "", "1", "none"), Edit("n/m", "", "2", "none")], "cannot both be files"),
        ([Edit("n", "", "1", "none"), Edit("N", "", "2", "none")], "spelling only"),
        ([on("app/run", "sh", "x"), Deletion("app/run", digest(FILES["app/run"]))], "at once"),
        ([Deletion("app/run", "f" * 16)], "The base of"),
        ([Deletion("nothing", "none")], "is not there"),
        ([Deletion("app", "none")], "is a directory"),
        ([Deletion("linked", "none")], "is a link"),
        ([Edit("README.md", "", "x", "none")], "The base of"),
        ([Edit("readme.md", "", "x", "none")], "spelling only"),
        ([Edit("App/x", "", "x", "none")], "spelling only"),
        ([Edit("README.md/x", "", "x", "none")], "is a file"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(entries: list[Edit | Deletion], says: str) -> None:
    assert says in refused(*entries)


def test_what_was_not_shown_is_not_edited() -> None:
    assert "was not shown to you" in refused(on("README.md", "first", "1"), sent={})


def test_too_much_is_refused() -> None:
    half = "x" * (128 * 1024)
    many = [Edit(f"new/{number}", "", half, "none") for number in range(20)]
    assert "too much" in refused(*many)
    files = [Edit(f"new/{number}", "", "x", "none") for number in range(applying.MAX_FILES + 1)]
    assert "41 changed files" in refused(*files)
    content = b"a\n" + b"x" * (applying.MAX_FILE - 100)
    with pytest.raises(EditRefusedError, match="too much"):
        one(content, ("a\n", "y" * 200))


# -- paths --


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/etc/passwd", "within the repository"),
        ("~/x", "within the repository"),
        ("C:/x", "within the repository"),
        ("../x", "without . and .."),
        ("app/../../x", "without . and .."),
        ("./x", "without . and .."),
        ("app//x", "without . and .."),
        ("app/", "without . and .."),
        ("app\\x", "backslash"),
        ("a\0b", "nobody sees"),
        ("a\nb", "nobody sees"),
        ("a\x1b[2Jb", "nobody sees"),
        ("a\u202eb", "nobody sees"),
        (".g\u200cit/config", "nobody sees"),
        ("a\ud800", "no UTF-8"),
        (".git/hooks/post-checkout", "belongs to git"),
        (".GIT/config", "belongs to git"),
        ("app/.git/config", "belongs to git"),
        (".git", "belongs to git"),
        ("git~1/config", "belongs to git"),
        (".gitmodules", "belongs to git"),
        (".git /config", "at its end"),
        (".git./config", "at its end"),
        ("\uff0egit/config", "belongs to git"),
        ("", "is no path"),
        ("x" * 501, "is no path"),
        ("ü" * 200, "more than 255 bytes"),
        ("app/link", "is a link"),
        ("app/link/x", "is a link"),
        ("linked/etc/passwd", "is a link"),
        ("other/x", "another repository"),
    ],
)
def test_a_path_leads_nowhere_else(path: str, says: str) -> None:
    assert says in Paths(MODES).refusal(path)
    assert refused(on("README.md", "first", "1"), Edit(path, "", "x", "none"))
    assert refused(on("README.md", "first", "1"), Deletion(path, "none"))


@pytest.mark.parametrize(
    "path", ["x", "app/new/deep/x.py", ".gitignore", ".github/x", "ü/ö", "a b", "app/main.pyx"]
)
def test_a_plain_path_is_free(path: str) -> None:
    assert Paths(MODES).refusal(path) == ""
    made: Changes = apply(Proposal("x", (Edit(path, "", "x\n", "none"),)), MODES, FILES)
    assert made == {path: b"x\n"}


# -- the schema --


def test_the_schema_is_one_that_all_providers_take() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert schemas.is_strict(schemas.reduced(SCHEMA))
    value = {"summary": "s", "edits": [{"path": "a", "old": "", "new": "b", "base": "none"}], "deletions": []}
    schemas.check(value, SCHEMA)
    assert Proposal.from_dict(value).paths == ["a"]
    value["edits"] = value["edits"] * (MAX_EDITS + 1)  # type: ignore[operator]
    with pytest.raises(Exception, match="maxItems"):
        schemas.check(value, SCHEMA)
