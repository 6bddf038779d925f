# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""release.yml: what it may say, and that every error names file, line, and the nearest right key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    ReleaseDamagedError,
    ReleaseInvalidError,
)
from ansible_collections.dockfra.core.plugins.module_utils.releases import spec, spec_file

WHOLE = """\
kind: python
files: [backend]
requirements: requirements.txt
build:
  requirements: requirements-build.txt
  commands:
    - [python, -m, tools.build]
test:
  command: [python, -m, pytest, tests]
  requirements: requirements-test.txt
  needs: [postgresql, redis]
start:
  app: backend.app:serve
  factory: true
  headers:
    X-Content-Type-Options: nosniff
  seconds: 20
health:
  path: /health
  pages: [/api/info]
drain_seconds: 40
settle_seconds: 0
schema_min: 3
"""
SMALL = "kind: python\nstart:\n  app: a:b\n"


def test_everything_it_may_say_survives_the_way_to_the_service() -> None:
    found = spec_file.parse(WHOLE.encode())
    assert found.files == ("backend",)
    assert found.test is not None
    assert found.test.needs == ("postgresql", "redis")
    assert found.start == spec.Start("backend.app:serve", True, {"X-Content-Type-Options": "nosniff"}, 20)
    assert (found.drain_seconds, found.settle_seconds, found.schema_min) == (40, 0, 3)
    assert spec.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "text", [SMALL, "kind: static\nroot: site\n", "kind: files\nroot: a/b\nstart: {app: a:b}\n"]
)
def test_the_rest_has_defaults(text: str) -> None:
    found = spec_file.parse(text.encode())
    assert spec.from_json(found.to_json()) == found
    assert found.health.path == "/health"
    assert found.drain_seconds >= 3


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (SMALL + "drain_second: 5\n", 4, "did you mean drain_seconds?"),
        ("kind: python\nstart:\n  ap: a:b\n", 3, "did you mean app?"),
        ("kind: pyhton\n", 1, "did you mean python?"),
        ("# nothing\n", 1, "empty"),
        ("files: [a]\n", 1, "kind is missing"),
        ("kind: python\n", 1, "start is missing"),
        ("kind: static\n", 1, "root is missing"),
        ("kind: static\nroot: a\nstart: {app: a:b}\n", 3, "kind static has none"),
        (SMALL + "root: a\n", 4, "kind python has none"),
        (SMALL + "drain_seconds: 2\n", 4, "3 to 120"),
        (SMALL + "drain_seconds: 121\n", 4, "3 to 120"),
        (SMALL + "settle_seconds: 1:30\n", 4, "plain whole number"),
        (SMALL + "settle_seconds: true\n", 4, "0 to 60"),
        (SMALL + "settle_seconds: 1.5\n", 4, "0 to 60"),
        (SMALL + "schema_min: -1\n", 4, "0 to 9999"),
        (SMALL + "files:\n  - ok\n  - ../up\n", 6, "no plain path"),
        (SMALL + "files: [/etc]\n", 4, "no plain path"),
        (SMALL + "files: ['a\\\\b']\n", 4, "no plain path"),
        (SMALL + "files: [--help]\n", 4, "option"),
        (SMALL + "files: [packages/x]\n", 4, "a release's own"),
        (SMALL + 'files: ["a\\0b"]\n', 4, "no text"),
        (SMALL + "files: a\n", 4, "no list"),
        (SMALL + "kind: python\n", 4, "twice"),
        (SMALL + "build:\n  commands: [[]]\n", 5, "at least one word"),
        (SMALL + "build: {}\n", 4, "commands: is missing"),
        ("kind: files\nroot: a\n", 1, "start is missing"),
        (SMALL + "test:\n  needs: [redis]\n", 5, "command: is missing"),
        (SMALL + "test:\n  command: [a]\n  needs: [oracle]\n", 6, "postgresql, redis"),
        ("kind: python\nstart:\n  app: os.system\n", 3, "module:attribute"),
        (
            "kind: python\nstart:\n  app: a:b\n  headers:\n    X-Release: x\n",
            5,
            "the server says that itself",
        ),
        ('kind: python\nstart:\n  app: a:b\n  headers:\n    X-A: "a\\r\\nb"\n', 5, "no value of a header"),
        (SMALL + "health: {path: health}\n", 4, "no path of a URL"),
        (SMALL + "health: [x]\n", 4, "no mapping"),
        ("a: &x [1]\nb: *x\n", 1, "anchors"),
        ("kind: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("kind: !secret x\n", 1, "tag"),
        ("kind: {a: b\n", 2, "no YAML"),
        ("kind: a\n\tb: c\n", 2, "no YAML"),
        ("- a\n", 1, "no mapping"),
        ("kind: " + "[" * 500, 1, "levels"),
        (SMALL + "files: [" + "a, " * 3000 + "a]\n", 4, "2000 values"),
        (SMALL + "files: [" + "a, " * 101 + "a]\n", 4, "more than 100"),
        ("? [a]\n: b\n", 1, "a key is a word"),
        ("---\nkind: static\n---\nroot: b\n", 3, "no YAML"),
    ],
)
def test_an_error_names_file_and_line(text: str, line: int, told: str) -> None:
    with pytest.raises(ReleaseInvalidError) as raised:
        spec_file.parse(text.encode(), "backend/release.yml")
    message = str(raised.value)
    assert told in message
    assert message.startswith(f"backend/release.yml:{line}:"), message
    assert message.isprintable()


def test_its_size_is_bounded() -> None:
    with pytest.raises(ReleaseInvalidError, match="bytes"):
        spec_file.parse(SMALL.encode() + b"#" * spec.MAX_SPEC)


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(ReleaseInvalidError, match=r"^release.yml:2: that is no UTF-8"):
        spec_file.parse(b"kind: static\n\xff")


def test_what_it_names_is_there_and_within_the_directory(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "release.yml").write_text("kind: static\nroot: site\n")
    assert spec_file.read(tmp_path).root == "site"
    (tmp_path / "release.yml").write_text("kind: static\n\nroot: sight\n")
    with pytest.raises(ReleaseInvalidError, match=r"^release.yml:3: 'sight' does not exist"):
        spec_file.read(tmp_path)
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "release.yml").write_text("kind: static\nroot: site\nfiles:\n  - site\n  - out/passwd\n")
    with pytest.raises(ReleaseInvalidError, match=r"^release.yml:5: 'out/passwd' leads out"):
        spec_file.read(tmp_path)


def test_the_file_itself_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(ReleaseInvalidError, match="cannot be read"):
        spec_file.read(tmp_path)
    (tmp_path / "release.yml").symlink_to("/etc/passwd")
    with pytest.raises(ReleaseInvalidError, match="cannot be read"):
        spec_file.read(tmp_path)
    (tmp_path / "release.yml").unlink()
    os.mkfifo(tmp_path / "release.yml")
    with pytest.raises(ReleaseInvalidError, match="empty"):
        spec_file.read(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"kind": "python"}', b'{"kind": "static", "root": "../x"}', b"[" * 100_000]
)
def test_what_a_build_writes_is_checked_again(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "spec.json").write_bytes(data)
    with pytest.raises(ReleaseDamagedError):
        spec.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"kind: python\nstart: !!bool maybe\n", 2),
        (b'kind: "\\UFFFFFFFF"\n', 1),
        (b'kind: static\nroot: "\\uD800"\n', 2),
        (b'kind: static\n"\\uD800": x\n', 2),
    ],
)
def test_what_no_text_can_be_is_an_error_with_its_line_finding_p4(text: bytes, line: int) -> None:
    with pytest.raises(ReleaseInvalidError, match=rf":{line}: "):
        spec_file.parse(text)
