# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is in an image's context, and what its name depends on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import TopologyError
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import images
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.images import Image, image_sources


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "app").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "app/main.py").write_text("print(1)\n")
    (root / "entrypoint").write_text("#!/bin/sh\n")
    (root / "entrypoint").chmod(0o755)
    return root


def image(
    context: Path, parent: str = "base:1", extra: dict[str, str] | None = None, **arguments: str
) -> Image:
    images._fingerprints.cache_clear()
    return Image("dockfra/x", parent, tuple(arguments.items()), image_sources(context, extra or {}))


def test_the_context_has_the_files_with_their_modes(context: Path) -> None:
    found = image(context).context()
    assert {path: (file.content, file.mode) for path, file in found.items()} == {
        "Dockerfile": (b"FROM scratch\n", 0o644),
        "app/main.py": (b"print(1)\n", 0o644),
        "entrypoint": (b"#!/bin/sh\n", 0o755),
    }


def test_the_name_is_the_repository_and_a_hash(context: Path) -> None:
    repository, _colon, tag = image(context).reference.partition(":")
    assert repository == "dockfra/x"
    assert len(tag) == 16
    assert image(context).reference == image(context).reference


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "Dockerfile").write_text("FROM other\n"),
        lambda root: (root / "app/main.py").rename(root / "app/other.py"),
        lambda root: (root / "app/main.py").unlink(),
        lambda root: (root / "new").touch(),
        lambda root: (root / "entrypoint").chmod(0o644),
        lambda root: (root / ".dockerignore").write_text("app\n"),
    ],
)
def test_any_change_of_the_context_changes_the_name(context: Path, change: Callable[[Path], object]) -> None:
    before = image(context).reference
    change(context)
    assert image(context).reference != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "Dockerfile", (1, 1)),
        lambda root: (root / "Dockerfile").chmod(0o600),
        lambda root: (root / "empty").mkdir(),
        lambda root: (root / "app/__pycache__").mkdir() or (root / "app/__pycache__/main.pyc").touch(),
        lambda root: (root / "app/main.pyc").touch(),
        lambda root: (root / ".git").mkdir() or (root / ".git/HEAD").touch(),
        lambda root: (root / "app/.ruff_cache").mkdir() or (root / "app/.ruff_cache/x").touch(),
        lambda root: (root / "app/.cache").mkdir() or (root / "app/.cache/x").touch(),
    ],
)
def test_what_does_not_matter_does_not_change_the_name(
    context: Path, change: Callable[[Path], object]
) -> None:
    before = image(context)
    change(context)
    assert image(context).reference == before.reference
    assert sorted(image(context).context()) == sorted(before.context())


def test_the_place_of_the_context_does_not_matter(context: Path, tmp_path: Path) -> None:
    before = image(context).reference
    context.rename(tmp_path / "moved")
    assert image(tmp_path / "moved").reference == before


def test_parent_and_arguments_change_the_name(context: Path) -> None:
    names = {
        image(context).reference,
        image(context, parent="base:2").reference,
        image(context, SERVICE_UID="1").reference,
        image(context, SERVICE_UID="2").reference,
        image(context, SERVICE_USER="1").reference,
    }
    assert len(names) == 5


def test_dockerignore_is_obeyed(context: Path) -> None:
    (context / ".dockerignore").write_text(
        "# tests are not for production\n\n**/*.md\napp/tests\n!app/tests/keep\n"
    )
    (context / "README.md").touch()
    (context / "app/tests").mkdir()
    (context / "app/tests/test_x.py").touch()
    (context / "app/tests/keep").touch()
    assert sorted(image(context).context()) == [
        ".dockerignore",
        "Dockerfile",
        "app/main.py",
        "app/tests/keep",
        "entrypoint",
    ]
    before = image(context).reference
    (context / "app/tests/test_x.py").write_text("changed")
    assert image(context).reference == before


def test_a_dockerignore_cannot_leave_out_the_dockerfile(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n")
    assert "Dockerfile" in image(context).context()


def test_extra_files_come_to_their_place_and_win(context: Path, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "a.crt").write_text("A")
    (certificates / "b.pem").write_text("B")
    (tmp_path / "other.py").write_text("other")
    extra = {
        "certs": f"{certificates}/*.crt",
        "app/main.py": str(tmp_path / "other.py"),
        "all": str(certificates),
    }
    found = image(context, extra=extra).context()
    assert {
        path: file.content for path, file in found.items() if path not in ("Dockerfile", "entrypoint")
    } == {
        "certs/a.crt": b"A",
        "all/a.crt": b"A",
        "all/b.pem": b"B",
        "app/main.py": b"other",
    }
    before = image(context, extra=extra).reference
    (certificates / "a.crt").write_text("renewed")
    assert image(context, extra=extra).reference != before


def test_a_pattern_without_matches_is_no_file_and_a_path_without_one_is_an_error(
    context: Path, tmp_path: Path
) -> None:
    assert image(context, extra={"certs": f"{tmp_path}/none/*.crt"}).reference == image(context).reference
    with pytest.raises(TopologyError, match="none does not exist, but an image is to be built from it"):
        _unused = image(context, extra={"certs": f"{tmp_path}/none"}).reference


def test_links_to_files_are_followed_and_broken_ones_left_out(context: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("shared")
    (context / "link").symlink_to(tmp_path / "shared")
    (context / "broken").symlink_to("/nowhere")
    found = image(context).context()
    assert found["link"].content == b"shared"
    assert "broken" not in found


def test_without_the_library_the_message_says_which(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_DOCKER_ERROR", ImportError("No module named 'docker'"))
    with pytest.raises(TopologyError, match=r"'docker' is missing .* run \./init\.sh again"):
        image(context).context()


@pytest.mark.parametrize(
    "name",
    [
        ".main.py.swp",
        ".main.py.swo",
        "main.py~",
        "main.py.orig",
        "main.py.rej",
        "main.py.bak",
        "#main.py#",
        ".#main.py",
        "4913",
        ".DS_Store",
        "main.py___jb_tmp___",
    ],
)
def test_files_of_editors_are_no_content_finding_p2(context: Path, name: str) -> None:
    before = image(context).reference
    for folder in (context, context / "app"):
        (folder / name).write_text("of no interest")
    assert image(context).reference == before
    assert sorted(image(context).context()) == ["Dockerfile", "app/main.py", "entrypoint"]


def test_who_wants_a_backup_in_an_image_says_so(context: Path) -> None:
    (context / "seed.bak").write_text("data")
    (context / ".dockerignore").write_text("!seed.bak\n")
    assert "seed.bak" in image(context).context()
