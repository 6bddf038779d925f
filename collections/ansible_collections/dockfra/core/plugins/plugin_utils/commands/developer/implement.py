# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a model do a ticket of yours on a branch of its own, tested before anybody gets it.

The model is shown the ticket and files of the origin's main, and answers with edits. What it wrote is tested in the tester, never
here: with its own tests, and where it changed some, with those of main as well. What fails goes back to it, three times in all at
most. When all pass, the branch ticket/T-0001 is pushed; otherwise it stays in your clone for you to look at. Either way the ticket
gets a comment. Your work tree, and main, are never touched: read the branch, and merge it if it is good.

The exit status is 0 when the branch is pushed, and 1 when the tests never passed, or when you began to work on that branch meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....module_utils.errors import CommandError, DeniedError, DockfraError
from ....module_utils.locks.work_lock import WorkLock
from ...cli import tickets, workspace
from ...cli.call import Call
from ...cli.codes import FAILED, OK
from ...cli.output import Style

if TYPE_CHECKING:
    from ...implement.staging import Staging
    from ...implement.work import Result

EXAMPLES: list[str] = [
    "implement T-0001",
    "implement T-0001 --dry-run",
    "implement T-0001 --again --model anthropic/claude-sonnet-4",
]

# Seconds for all of it, and what of that is for the model and the tests.
TIME_LIMIT = 3600.0
_WORK_SECONDS = 3000.0

# It tells how it goes on.
STREAMS = True

# Where a change grows, and who has which ticket in hand.
STATE = Path("~/.local/state/dockfra/implement")

_MOST = 3
_MAX_DIFFERENCE = 256 * 1024
_GOOD = ("pushed", "planned", "there", "shown")


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    tickets.add_id(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be changed; test and change nothing"
    )
    parser.add_argument(
        "--attempts",
        type=int,
        choices=range(1, _MOST + 1),
        default=_MOST,
        help=f"how often the model may try, {_MOST} times at most",
    )
    parser.add_argument(
        "--again", action="store_true", help="begin anew where there is a branch of the ticket"
    )
    models.add_arguments(parser)


def changes(options: argparse.Namespace) -> bool:
    return not (options.dry_run or options.show_prompt)


def run(call: Call) -> dict[str, Any]:
    ticket = _own_ticket(call)
    clone = workspace.workspace()
    with _prepared(call, ticket["id"]) as folder:
        from ...implement.staging import Staging

        staging = Staging(clone, f"ticket/{ticket['id']}", folder)
        if changes(call.options):
            if there := _there(call, staging):
                return {**_data(ticket, staging), **there}
            staging.check_free()
        return _worked(call, ticket, staging)


def exit_status(data: dict[str, Any]) -> int:
    return OK if data["state"] in _GOOD and not data.get("untold") else FAILED


def render(data: dict[str, Any], style: Style) -> str:
    if data["state"] == "shown":
        return str(data["prompt"])
    branch = style.paint(data["branch"], "bold")
    lines = [str(data.get("difference", ""))] if data.get("difference") else []
    if data["state"] == "pushed":
        lines.append(f"Pushed {branch} ({data['commit'][:7]}): {data['summary']}")
        lines.append(
            f"Tests passed: {', '.join(data['parts'])}. Read it: git fetch && git diff main...origin/{data['branch']}"
        )
    elif data["state"] == "planned":
        lines.append(f"Nothing was changed, and nothing tested. {data['summary']}")
    else:
        lines.append(data["reason"])
    if data.get("untold"):
        lines.append(style.paint(f"The ticket does not say so: {data['untold']}", "red"))
    if data.get("cost"):
        lines.append(style.paint(str(data["cost"]), "dim"))
    return "\n".join(lines)


def _own_ticket(call: Call) -> dict[str, Any]:
    ticket: dict[str, Any] = call.ask("manager", ["ticket-show", call.options.id])
    if ticket["assigned_to"] != call.caller:
        raise DeniedError(
            f"{ticket['id']} is {tickets.whose(ticket)}; the manager gives it to you with "
            f"'ticket-update {ticket['id']} --assign {call.caller}'"
        )
    if ticket["status"] == "closed":
        raise CommandError(
            f"{ticket['id']} is closed; the manager opens it with 'ticket-update {ticket['id']} --status open'"
        )
    return ticket


@contextmanager
def _prepared(call: Call, name: str) -> Iterator[Path]:
    """A directory that nobody else has meanwhile, and that is gone afterwards; one for each ticket."""
    state = STATE.expanduser()
    folder = state / name
    lock = WorkLock(state / "locks", name, name)
    with lock.hold(call.caller, call.command):
        # What a killed process has left.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _there(call: Call, staging: Staging) -> dict[str, Any]:
    """What is said where there is a branch already and nobody wants it anew; nothing where the work can begin."""
    local, branch = staging.local(), staging.branch
    if not call.options.again:
        if staging.there:
            reason = (
                f"{branch} is at the origin already ({staging.there[:7]}); --again begins anew and adds to it"
            )
            return {"state": "there", "commit": staging.there, "reason": reason}
        if local:
            raise CommandError(
                f"{branch} is in your clone already ({local[:7]}) and was not pushed; look at it with "
                f"'git diff main...{branch}', push it yourself, or begin anew with --again"
            )
    elif local:
        from ...implement.work import is_written_here

        foreign = [one for one in staging.commits_of_clone() if not is_written_here(staging.message(one))]
        if foreign:
            raise CommandError(
                f"{branch} in your clone has commits of yours that were not pushed ({foreign[0][:7]}); keep them with "
                f"'git branch --move {branch} NAME', then try again"
            )
    return {}


def _worked(call: Call, ticket: Mapping[str, Any], staging: Staging) -> dict[str, Any]:
    from ...cli import models
    from ...implement.work import Work

    client = models.of(call)
    deadline = time.monotonic() + _WORK_SECONDS
    work = Work(client, staging, ticket, call.tell, deadline)
    if call.options.show_prompt:
        text = "\n\n".join(models.shown(client.prompt(question)) for question in work.questions())
        return {**_data(ticket, staging), "state": "shown", "prompt": text}
    result = work.run(call.options.attempts, dry=call.options.dry_run)
    data = {**_data(ticket, staging), **_told(result)}
    costs = [models.cost(result.answer)] if result.answer else []
    if result.lost.tokens:
        costs.append(f"without an answer: {result.lost.tokens} tokens, about ${result.lost.cost:.6f}")
    data["cost"] = "; ".join(costs)
    if call.options.dry_run:
        return {**data, **_planned(staging, result)}
    data |= _kept(call, staging, result)
    return {**data, **_commented(call, data, result)}


def _data(ticket: Mapping[str, Any], staging: Staging) -> dict[str, Any]:
    return {"ticket": ticket["id"], "branch": staging.branch, "base": staging.base}


def _told(result: Result) -> dict[str, Any]:
    return {
        "summary": result.summary,
        "files": sorted(result.changes),
        "parts": result.parts,
        "attempts": result.attempts,
        "model": result.model,
        "used": result.answer.to_dict() if result.answer else None,
    }


def _planned(staging: Staging, result: Result) -> dict[str, Any]:
    if not result.commit:
        return {"state": "failed", "reason": f"There is no change to show: {result.reason}"}
    return {"state": "planned", "difference": staging.difference(result.commit)[:_MAX_DIFFERENCE]}


def _kept(call: Call, staging: Staging, result: Result) -> dict[str, Any]:
    """Bring what there is to the clone, and what passed to the origin."""
    if not result.commit:
        return {"state": "failed", "commit": "", "reason": f"There is no change: {result.reason}"}
    data = {"state": "failed", "commit": result.commit}
    try:
        try:
            staging.hand_over(result.commit)
        except DockfraError as error:
            kept = f"'git branch NAME {result.commit[:12]}' in your clone keeps what was made"
            return {**data, "reason": f"Nothing was pushed: {error}; {kept}"}
        if result.state != "passed":
            why = result.reason or "the tests did not run"
            return {**data, "reason": f"{staging.branch} stays in your clone: {why}"}
        call.tell(f"pushes {staging.branch}", stage="pushing")
        try:
            staging.push(result.commit)
        except DockfraError as error:
            return {**data, "reason": f"{staging.branch} stays in your clone, though its tests pass: {error}"}
    except BaseException:
        # Nothing is left half done where somebody ends it.
        with suppress(DockfraError):
            staging.put_back(result.commit)
        raise
    return {**data, "state": "pushed", "reason": ""}


def _commented(call: Call, data: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """Say on the ticket what was done; returns why it could not be said."""
    from ...implement.report import comment

    try:
        call.ask("manager", ["ticket-comment", data["ticket"], tickets.FROM_INPUT], comment(data, result))
    except DockfraError as error:
        return {"untold": str(error)}
    return {"untold": ""}
