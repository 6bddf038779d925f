#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ticket_sync
short_description: Synchronise tickets with GitHub issues
description:
  - Brings what changed in tickets to the issues of a GitHub repository, what changed there to the tickets, or both.
  - >-
    Title, description and status are title, body and state of the issue. Priority and assignee are labels like
    V(priority:high) and V(assigned:developer), a ticket in progress has the label V(status:in_progress). All other labels
    and the comments are the same on both sides.
  - Where both sides changed a field, the newer edit counts and the other one is kept as a comment.
  - >-
    Running it again, also after a run that was cut short, makes no second issue or comment. What it remembers is in the
    directory C(.github) below O(path).
  - >-
    A ticket whose issue was deleted or moved to another repository stays without an issue; see O(recreate). Comments on a
    locked issue are pushed once it is unlocked.
version_added: 0.2.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Asks GitHub what changed, reports what would be written to either side, and writes nothing.
    support: full
  diff_mode:
    description: Shows the changed values of tickets and issues before and after.
    support: full
options:
  path:
    description: Directory of the tickets.
    type: path
    default: /shared/tickets
  repo:
    description: Repository, for example V(owner/name). Required without O(settings_file).
    type: str
  token:
    description:
      - Token that may read and write the repository's issues.
      - Taken from the environment variable E(GITHUB_TOKEN) where it is not given.
    type: str
  api_url:
    description: Address of the API, for GitHub Enterprise V(https://host/api/v3). By default that of github.com.
    type: str
  settings_file:
    description:
      - File with C(GITHUB_REPO), C(GITHUB_TOKEN) and C(GITHUB_API_URL), for those options that are not given.
      - A line with one of them that cannot be used is refused.
    type: path
  direction:
    description:
      - V(push) brings tickets to GitHub, V(pull) issues to the tickets, V(both) does both at once.
      - V(push) leaves alone what was edited on GitHub later than here.
    type: str
    choices: [push, pull, both]
    default: both
  ids:
    description: Push only these tickets, for example V(T-0001). By default all.
    type: list
    elements: str
  recreate:
    description: Make a new issue for a ticket whose issue was deleted, moved, or is not in O(repo).
    type: bool
    default: false
  timeout:
    description: Seconds to wait for each answer.
    type: int
    default: 20
  max_wait:
    description: Seconds that all failures and waits of a run together may cost, those that GitHub asks for included.
    type: int
    default: 120
requirements:
  - PyGithub 2.10 or later
notes:
  - The certificate authority of a GitHub Enterprise server can be named in the environment variable E(REQUESTS_CA_BUNDLE).
"""

EXAMPLES = r"""
- name: Keep tickets and issues the same
  dockfra.core.ticket_sync:
    repo: dockfra/example
    token: "{{ github_token }}"

- name: Bring one ticket to a GitHub Enterprise server
  dockfra.core.ticket_sync:
    repo: team/platform
    api_url: https://github.example.com/api/v3
    direction: push
    ids: [T-0001]
  environment:
    GITHUB_TOKEN: "{{ github_token }}"
"""

RETURN = r"""
results:
  description: One entry for each ticket or issue that there is something to say about.
  returned: success
  type: list
  elements: dict
  contains:
    ticket:
      description: Id of the ticket. None for an issue that would become one, or did not.
      type: str
    issue:
      description: Number of the issue, or none.
      type: int
    pulled:
      description: What happened to the ticket, V(created), V(updated) or V(unchanged).
      type: str
    pushed:
      description:
        - What happened to the issue, V(created), V(updated), V(unchanged), V(locked) (its comments wait), V(gone) (deleted
          or moved), V(waiting) (GitHub has something newer, to be pulled first) or V(left) (not to be pushed).
      type: str
    conflicts:
      description: Fields that both sides changed.
      type: list
      elements: str
    notes:
      description: What a person should know, one sentence each.
      type: list
      elements: str
    failed:
      description: Whether something could not be done for this ticket. The task fails then, after doing all else.
      type: bool
    before:
      description: The values that changed, of C(ticket) and C(issue), before the change.
      type: dict
    after:
      description: The same after the change.
      type: dict
  sample:
    - ticket: T-0001
      issue: 5
      pulled: unchanged
      pushed: updated
      conflicts: []
      notes: []
      failed: false
      before:
        issue: {title: Add authentication}
      after:
        issue: {title: Add user authentication}
unchanged:
  description: How many other tickets were looked at.
  returned: success
  type: int
requests:
  description: How many requests it took.
  returned: success
  type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError
from ansible_collections.dockfra.core.plugins.module_utils.github import address as github_address
from ansible_collections.dockfra.core.plugins.module_utils.github import issues as github_issues
from ansible_collections.dockfra.core.plugins.module_utils.github import report as ticket_sync_report
from ansible_collections.dockfra.core.plugins.module_utils.github import state as ticket_sync_state
from ansible_collections.dockfra.core.plugins.module_utils.github import sync as ticket_sync
from ansible_collections.dockfra.core.plugins.module_utils.github import transport as github_transport
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.module_utils.tickets import store as ticket_store

# Which setting holds an option that is not given.
SETTINGS = {"token": "GITHUB_TOKEN", "repo": "GITHUB_REPO", "api_url": "GITHUB_API_URL"}


def run(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Synchronise and return the module's result."""
    given = {option: params[option] for option in SETTINGS if params[option]}
    if params["settings_file"]:
        stored = settings_file.EnvFile(params["settings_file"], "manager").read()
        # With the default address instead of a mistyped one, the token would go to a foreign server.
        stored.require_usable([name for option, name in SETTINGS.items() if option not in given])
        given = {option: stored.get(name) for option, name in SETTINGS.items()} | given
    gateway = github_issues.IssueGateway(
        given.get("token", ""),
        given.get("repo", ""),
        given.get("api_url", github_address.API_URL),
        timeout=params["timeout"],
        max_wait=params["max_wait"],
    )
    state = ticket_sync_state.path_for(params["path"], gateway.api_url, gateway.repo)
    sync = ticket_sync.GitHubSync(ticket_store.TicketStore(params["path"]), gateway, state)
    if params["direction"] == "pull":
        report = sync.pull(dry_run=check_mode)
    else:
        go = sync.push if params["direction"] == "push" else sync.sync
        report = go(params["ids"], recreate=params["recreate"], dry_run=check_mode)
    result = {**report.to_dict(), "diff": diff(report)}
    if report.failed:
        result |= {"failed": True, "msg": failure(report)}
    return result


def failure(report: ticket_sync_report.Report) -> str:
    """Return the one line that says what could not be done."""
    first = report.failed[0]
    more = f" {len(report.failed) - 1} more failed, see results." if len(report.failed) > 1 else ""
    return f"{first.ticket or f'Issue #{first.issue}'}: {' '.join(first.notes)}{more}"


def diff(report: ticket_sync_report.Report) -> dict[str, t.Any]:
    """Return the values that changed, by ticket and issue."""
    shown: dict[str, dict[str, t.Any]] = {"before": {}, "after": {}}
    for result in report.results:
        for what, values in result.after.items():
            number = f"#{result.issue or 'new'}"
            name = (
                (result.ticket or f"ticket of {number}")
                if what == "ticket"
                else f"{number} of {result.ticket}"
            )
            shown["before"][name] = result.before[what]
            shown["after"][name] = values
    return shown


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": ticket_store.DIRECTORY},
            "repo": {"type": "str"},
            "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["GITHUB_TOKEN"])},
            "api_url": {"type": "str"},
            "settings_file": {"type": "path"},
            "direction": {"type": "str", "choices": ["push", "pull", "both"], "default": "both"},
            "ids": {"type": "list", "elements": "str"},
            "recreate": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 20},
            "max_wait": {"type": "int", "default": 120},
        },
        required_one_of=[["repo", "settings_file"]],
        supports_check_mode=True,
    )
    if error := github_transport.import_error():
        module.fail_json(msg=missing_required_lib("PyGithub"), exception=error)
    try:
        result = run(module.params, module.check_mode)
    except DockfraError as error:
        module.fail_json(msg=str(error))
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
