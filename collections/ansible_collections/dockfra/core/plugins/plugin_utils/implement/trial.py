# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a change stands: what the tester says of it, with its own tests and with those of main.

The code that a model wrote runs there and nowhere else. Whoever changes or removes a test passes only where main's own tests pass
as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...module_utils.builds import wire
from ...module_utils.errors import (
    BuildBusyError,
    BuildFailedError,
    BuildUnreachableError,
    LateError,
    UsageError,
)
from ..cli import builds
from .staging import Staging

# What says how something is tested, and what a test run takes for its own before it looks at the tests.
TESTS = re.compile(
    r"(^|/)(tests?|pytest|_pytest|unittest)/"
    r"|(^|/)(test_[^/]*\.py|[^/]*_test\.py|conftest\.py|(pytest|unittest)\.py|sitecustomize\.py|usercustomize\.py)$"
    r"|(^|/)[^/]*\.(dist|egg)-info/"  # names plugins that pytest loads by itself
    r"|(^|/)(release\.yml|\.?pytest\.(ini|toml)|tox\.ini|setup\.cfg|pyproject\.toml|requirements-test\.(txt|in))$",
    re.IGNORECASE,
)

# What says that a directory is a part of the application.
_SPEC = "release.yml"

# Seconds for one run of tests, a wait for other work of the tester included.
_SECONDS = 1200.0

Tell = Callable[..., None]


class Verdict(NamedTuple):
    """What came of the tests.

    Attributes:
        passed: whether all did.
        parts: the directories that were tested.
        reason: why not, in one line.
        log: the end of what the tests said.
    """

    passed: bool
    parts: Sequence[str]
    reason: str = ""
    log: str = ""


def touched(paths: Sequence[str], *trees: Iterable[str]) -> dict[str, str]:
    """Return the parts of the application that hold any of the paths; all of them where none does.

    Args:
        paths: of changed files.
        trees: the paths of all files, before and after.

    Returns: their directories, by names that a builder takes.
    """
    parts = {path.rpartition("/")[0] for tree in trees for path in tree if path.endswith(f"/{_SPEC}")}
    chosen = {part for part in parts for path in paths if path.startswith(f"{part}/")} or parts
    named = {part.replace("/", "-").lower(): part for part in sorted(chosen)}
    return {name: part for name, part in named.items() if _is_testable(name, part)}


def tried(staging: Staging, commit: str, changed: Sequence[str], deadline: float, tell: Tell) -> Verdict:
    """Have a commit tested.

    Args:
        staging: where it is.
        commit: which.
        changed: the paths that it changes.
        deadline: by the monotonic clock.
        tell: gets what happens.

    Raises:
        BuildError: the tester did not say.
    """
    parts = touched(changed, staging.entries, staging.listed(commit))
    if not parts:
        return Verdict(False, [], "the application has no part with a release.yml, so nothing can be tested")
    runs = [("the tests", commit, parts)]
    old = staging.with_old_tests("old-tests", commit, TESTS)
    if not staging.same_tree(old, commit):
        # What is new has no tests there.
        runs.append(("the tests as they are on main", old, touched(changed, staging.entries)))
    for name, tree, tested in runs:
        tell(f"{name} of {', '.join(tested.values())}", stage="testing")
        verdict = _run(staging, tree, tested, deadline, tell)
        if not verdict.passed:
            return verdict._replace(reason=f"{name} fail: {verdict.reason}")
    return Verdict(True, list(parts.values()))


def _run(staging: Staging, commit: str, parts: Mapping[str, str], deadline: float, tell: Tell) -> Verdict:
    folder = staging.folder.parent / "tested"
    folder.mkdir(exist_ok=True)
    archive = folder / "tree.tar"
    staging.archive(commit, list(parts.values()), archive)
    begun = False

    def on_event(event: Mapping[str, Any]) -> None:
        nonlocal begun
        begun |= event["event"] == "begin"
        if event["event"] == "wait":
            tell(f"the tester: {event['text']}", stage="waiting")
        elif event["event"] == "end" and event["step"] == "test":
            tell(
                f"{event['service']}: {'passed' if event['ok'] else 'failed'} after {event['seconds']:.1f} s",
                stage="testing",
            )

    where = builds.load()
    seconds = min(_SECONDS, max(1.0, deadline - time.monotonic()))
    failed = Verdict(False, list(parts.values()))
    try:
        with open(archive, "rb") as tree:
            builds.build(
                where.host,
                where.port,
                tree,
                parts,
                tests=True,
                folder=folder,
                deadline_seconds=seconds,
                on_event=on_event,
            )
    except BuildFailedError as error:
        return failed._replace(reason=str(error), log=error.log)
    except BuildBusyError:
        raise
    except (BuildUnreachableError, LateError) as error:
        # What was begun and then used up all memory or time has failed.
        if not begun:
            raise
        return failed._replace(reason=str(error))
    finally:
        for name in (archive, *(folder / f"{part}.tar.gz" for part in parts)):
            name.unlink(missing_ok=True)
    return failed._replace(passed=True)


def _is_testable(name: str, part: str) -> bool:
    try:
        wire.Order({name: part})
    except UsageError:
        return False
    return True
