# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a deploy or a rollback has to do, worked out from what the bastions say: nothing is changed for it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ...module_utils.errors import CommandError, DockfraError, UsageError
from ...module_utils.releases import history, ids
from ..cli import codes, verbs
from .configuration import Deployable
from .mirror import Mirror

# Seconds for a bastion to say what it has.
STATUS_SECONDS = 15.0


class Known(NamedTuple):
    """What is known of a service's releases.

    Attributes:
        current: the release that is to serve; empty for what the image brought.
        running: the one that serves, as the service says; None where it says nothing.
        previous: what served before.
        commits: the whole hash of each release that is there, by its id, the oldest first.
        trees: git's name for the directory that each of these is made of, by its id; empty where it does not say.
        crashed: releases that ended soon after they began to serve.
        holder: who works on them, in one line; empty where nobody does.
        tried: the release that the service tried last and how that ended, see ``releases.state.RESULTS``; both empty where it says nothing.
        unserved: releases that never served, as those of deploys that failed.
    """

    current: str
    running: str | None
    previous: str
    commits: Mapping[str, str]
    trees: Mapping[str, str]
    crashed: Collection[str]
    holder: str
    tried: tuple[str, str] = ("", "")
    unserved: Collection[str] = ()

    @property
    def to_go_back_to(self) -> list[str]:
        """The releases that served, the oldest first."""
        return [release for release in self.commits if release not in self.unserved]

    @property
    def serves(self) -> bool:
        """Whether it serves what it is to."""
        return self.running == self.current


class Step(NamedTuple):
    """What is to be done with one service.

    Attributes:
        entry: the service.
        before: the release that it is to serve by now; empty for what its image brought.
        after: the one that it is to serve then.
        build: whether that is to be built.
        tree: git's name for the directory that it is made of; empty where it is there already.
    """

    entry: Deployable
    before: str
    after: str
    build: bool
    tree: str = ""


def known(entries: Sequence[Deployable]) -> dict[str, Known]:
    """Ask the bastions of services for their releases.

    Raises:
        CommandError: one cannot be reached, or has no releases of its service.
    """
    found: dict[str, Known] = {}
    for bastion in dict.fromkeys(entry.bastion for entry in entries):
        answer = verbs.call(bastion, ["release-status"], timeout=STATUS_SECONDS)
        if answer.status != codes.OK:
            raise CommandError(answer.message or f"{bastion} does not say which releases it has")
        found |= {status["service"]: _known(status) for status in answer.data}
    for entry in entries:
        if entry.service not in found:
            raise CommandError(f"{entry.bastion} keeps no releases of {entry.service}; run site.yml again")
    return {entry.service: found[entry.service] for entry in entries}


def _known(status: Mapping[str, Any]) -> Known:
    whole = sorted(
        (release for release in status["releases"] if not release.get("problem")),
        key=lambda release: str(release["id"]),
    )
    return Known(
        status["current"],
        status["running"],
        status["previous"],
        {release["id"]: release["commit"] for release in whole},
        {release["id"]: release["tree"] for release in whole},
        tuple(status["crashed"]),
        (status["holder"] or {}).get("line", ""),
        (tried["release"], tried["result"]) if (tried := status.get("tried")) else ("", ""),
        tuple(release["id"] for release in whole if not release.get("served", True)),
    )


def to_commit(
    mirror: Mirror,
    entries: Sequence[Deployable],
    there: Mapping[str, Known],
    commit: str,
    avoid: Mapping[str, Collection[str]] | None = None,
    blamed: Mapping[str, Collection[str]] | None = None,
) -> list[Step]:
    """Return what brings services to a commit; nothing for those that serve the same already.

    Args:
        mirror: the copy of the origin.
        entries: the services.
        there: what is known of their releases.
        commit: the whole hash.
        avoid: commits by target whose content is not to be deployed again.
        blamed: git's names for directories by service, likewise.

    Raises:
        CommandError: the commit does not have the directory of a service.
    """
    made = _new_id(commit, there.values())
    steps = []
    for entry in entries:
        wanted = mirror.tree(commit, entry.path)
        if not wanted:
            raise CommandError(
                f"{commit[:12]} has no directory {entry.path}, which {entry.service} is made of"
            )
        now = there[entry.service]
        if now.serves and _tree(mirror, entry, now, now.current) == wanted:
            continue
        if wanted in (blamed or {}).get(entry.service, ()):
            continue
        if any(mirror.tree(other, entry.path) == wanted for other in (avoid or {}).get(entry.target, ())):
            continue
        ready = [
            release
            for release in now.commits
            if release >= now.current
            and release not in now.crashed
            and _tree(mirror, entry, now, release) == wanted
        ]
        after = ready[-1] if ready else made
        steps.append(Step(entry, now.current, after, not ready, wanted))
    return steps


def _tree(mirror: Mirror, entry: Deployable, now: Known, release: str) -> str:
    """Git's name for what a release is made of; of one that says nothing and whose commit nobody knows any more one that no other has."""
    if release == history.IMAGE:
        return entry.tree or "unknown"
    if said := now.trees.get(release):
        return said
    commit = now.commits.get(release, "")
    return (
        mirror.tree(commit, entry.path) if commit and mirror.known(commit) else ""
    ) or f"unknown {release}"


def _new_id(commit: str, there: Collection[Known]) -> str:
    """Return an id that is newer than all others, also where a clock went back."""
    latest = max((ids.time_of(release) for now in there for release in now.commits), default=0)
    return ids.new_id(commit, max(time.time(), latest + 1))


def back(
    entries: Sequence[Deployable],
    there: Mapping[str, Known],
    release: str,
    failed: Mapping[str, Collection[str]],
    blamed: Mapping[str, Collection[str]] | None = None,
) -> list[Step]:
    """Return what brings services back.

    Args:
        entries: the services.
        there: what is known of their releases.
        release: an id: each service goes to what it served when that was made; else those that changed last go back to what served
            before.
        failed: commits by target that nobody goes back to.
        blamed: git's names for directories by service, of which releases are none to go back to either.

    Raises:
        UsageError: nothing has that release, or it never served; or there is none before.
    """
    if release:
        if not any(release in now.to_go_back_to for now in there.values()):
            newest = sorted({known for now in there.values() for known in now.to_go_back_to})[-5:]
            never = any(release in now.commits for now in there.values())
            problem = f"{release} never served" if never else f"there is no release {release} here"
            raise UsageError(f"{problem}; there are {', '.join(newest) or 'none'}")
        wanted = {
            entry.service: history.as_of(release, there[entry.service].to_go_back_to) for entry in entries
        }
    else:
        newest_current = max(now.current for now in there.values())
        if not newest_current:
            names = ", ".join(entry.service for entry in entries)
            raise UsageError(f"{names}: what the images brought serves, and before that there was nothing")
        wanted = {}
        for entry in entries:
            now = there[entry.service]
            bad = {each for each, commit in now.commits.items() if commit in failed.get(entry.target, ())}
            trees = (blamed or {}).get(entry.service, ())
            bad |= {each for each, tree in now.trees.items() if tree in trees}
            last = now.current == newest_current
            wanted[entry.service] = (
                history.before(now.current, now.previous, now.to_go_back_to, {*bad, *now.crashed})
                if last
                else now.current
            )
    return [
        Step(entry, there[entry.service].current, wanted[entry.service], False)
        for entry in entries
        if wanted[entry.service] != there[entry.service].current or not there[entry.service].serves
    ]


def reason(error: BaseException) -> str:
    """Return an error in one line, for the record."""
    return codes.line("", str(error) if isinstance(error, DockfraError) else type(error).__name__).lstrip(
        ": "
    )
