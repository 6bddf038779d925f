"""The server: repositories with issues and comments, people who edit them, and faults."""

from __future__ import annotations

import contextlib
import copy
import datetime
import email.utils
import http.server
import json
import os
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import schema

PEOPLE = "octocat"
DOCUMENTATION = "https://docs.github.com/rest"
LIMIT = 5000

# What people do, also over HTTP: POST /_fake/<name> with the arguments as JSON.
DEEDS = ("add_issue", "edit", "comment", "edit_comment", "delete", "transfer", "rename", "advance", "fault")


@dataclass
class Fault:
    """Something that goes wrong with the next requests that fit.

    Attributes:
        kind: ``error`` (a status instead of an answer), ``error-after`` (it happens, and a status is the answer), ``cut``
            and ``cut-after`` (the connection ends without an answer), ``429`` (``retry_after`` seconds, or without saying),
            ``rate-limit`` (403, nothing left for ``retry_after`` seconds), ``secondary`` and
            ``abuse`` (403 and nothing but words), ``silent`` (403 without a reason), ``forbidden``, ``slow`` (``retry_after`` seconds), ``html`` (a page at 200) and ``hook`` (``call`` after it
            happened, before the answer).
        verb, path: regular expressions; by default all.
        times: how many requests it hits.
        skip: how many it lets pass before.
        every: it hits each such request after the one before only, so 3 means every third.
    """

    kind: str
    verb: str = ".*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    every: int = 1
    status: int = 502
    retry_after: float | None = None
    call: Callable[[], None] | None = None
    seen: int = 0

    def hits(self, verb: str, path: str) -> bool:
        if not self.times or not re.fullmatch(self.verb, verb) or not re.search(self.path, path):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.seen - self.skip - 1) % self.every:
            return False
        self.times -= 1
        return True


@dataclass
class Answer:
    """What the server says: a value of a kind in `schema.ANSWERS`, or raw text."""

    status: int
    kind: str = ""
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


class Refusal(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class FakeGitHub:
    """A running server with one repository and one token that may do everything in it.

    Attributes:
        url: address of the API.
        requests: verb, path and status of every request to the API.
        problems: answers and requests that break GitHub's published schema; a test expects none.
    """

    def __init__(
        self,
        repo: str = "octo/hello",
        token: str = "fake-token",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        prefix: str = "",
        state: Path | None = None,
    ) -> None:
        self.repo = repo
        self.token = token
        self.requests: list[tuple[str, str, int]] = []
        self.problems: list[str] = []
        self.lock = threading.RLock()
        self._prefix = prefix.rstrip("/")
        self._state = state
        self._faults: list[Fault] = []
        self._data: dict[str, Any] = {"next_id": 1000, "offset": 0.0, "repos": {}, "renamed": {}}
        if state is not None and state.exists():
            self._data = json.loads(state.read_text())
        self.make_repo(repo)
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = http.server.ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.port = int(self._server.server_address[1])
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}{self._prefix}"

    def __enter__(self) -> FakeGitHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what people see and do --

    def issues(self, repo: str | None = None) -> list[dict[str, Any]]:
        """Return all issues there are, with their comments, in order of their numbers."""
        with self.lock:
            found = [
                copy.deepcopy(issue) for issue in self._repo(repo)["issues"].values() if "gone" not in issue
            ]
        return sorted(found, key=lambda issue: issue["number"])

    def issue(self, number: int, repo: str | None = None) -> dict[str, Any]:
        return next(issue for issue in self.issues(repo) if issue["number"] == number)

    def make_repo(self, name: str) -> None:
        with self.lock:
            if name not in self._data["repos"]:
                self._data["repos"][name] = {
                    "id": self._id(),
                    "next": 1,
                    "issues": {},
                    "labels": {},
                    "on": True,
                }
                self._save()

    def make_anew(self) -> None:
        """Delete the repository with all that is in it, and make one of the same name."""
        with self.lock:
            del self._data["repos"][self.repo]
            self.make_repo(self.repo)

    def add_issue(
        self,
        title: str,
        body: str = "",
        labels: list[str] | None = None,
        author: str = PEOPLE,
        repo: str | None = None,
        pull_request: bool = False,
    ) -> int:
        """Create an issue as a person does; returns its number."""
        with self.lock:
            home = self._repo(repo)
            number, now = home["next"], self.now()
            home["next"] += 1
            home["issues"][str(number)] = {
                "number": number,
                "id": self._id(),
                "title": title,
                "body": body,
                "labels": self._labels(home, labels or []),
                "state": "open",
                "locked": False,
                "author": author,
                "created_at": now,
                "updated_at": now,
                "closed_at": None,
                "pull_request": pull_request,
                "comments": [],
            }
            self._save()
            return int(number)

    def edit(self, number: int, **values: Any) -> None:
        """Change fields of an issue as a person does."""
        with self.lock:
            home = self._repo(None)
            issue = home["issues"][str(number)]
            if "labels" in values:
                values["labels"] = self._labels(home, values["labels"])
            if values.get("state", issue["state"]) != issue["state"]:
                issue["closed_at"] = self.now() if values["state"] == "closed" else None
            issue.update(values)
            issue["updated_at"] = self.now()
            self._save()

    def comment(self, number: int, body: str, author: str | None = PEOPLE) -> int:
        """Comment on an issue as a person does; returns the comment's id."""
        with self.lock:
            issue, now, identity = self._repo(None)["issues"][str(number)], self.now(), self._id()
            comment = {"id": identity, "body": body, "author": author, "created_at": now, "updated_at": now}
            issue["comments"].append(comment)
            issue["updated_at"] = now
            self._save()
            return identity

    def edit_comment(self, number: int, comment_id: int, body: str) -> None:
        with self.lock:
            issue = self._repo(None)["issues"][str(number)]
            comment = next(entry for entry in issue["comments"] if entry["id"] == comment_id)
            comment.update(body=body, updated_at=self.now())
            issue["updated_at"] = self.now()
            self._save()

    def delete_comment(self, number: int, comment_id: int) -> None:
        with self.lock:
            issue = self._repo(None)["issues"][str(number)]
            issue["comments"] = [entry for entry in issue["comments"] if entry["id"] != comment_id]
            issue["updated_at"] = self.now()
            self._save()

    def delete(self, number: int) -> None:
        with self.lock:
            self._repo(None)["issues"][str(number)]["gone"] = "deleted"
            self._save()

    def transfer(self, number: int, repo: str) -> int:
        """Move an issue to another repository; returns its number there."""
        with self.lock:
            self.make_repo(repo)
            home = self._repo(None)
            issue, there = home["issues"][str(number)], self._repo(repo)
            new = there["next"]
            there["next"] += 1
            moved = {**copy.deepcopy(issue), "number": new, "id": self._id(), "updated_at": self.now()}
            there["issues"][str(new)] = moved
            issue["gone"] = [repo, new]
            self._save()
            return int(new)

    def rename(self, new: str) -> None:
        """Give the repository another name; the old one leads there."""
        with self.lock:
            self._data["repos"][new] = self._data["repos"].pop(self.repo)
            self._data["renamed"][self.repo] = new
            self.repo = new
            self._save()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self.lock:
            self._data["offset"] += seconds
            self._save()

    def fault(self, kind: str, **options: Any) -> Fault:
        """Make something go wrong; see `Fault`."""
        made = Fault(kind, **options)
        with self.lock:
            self._faults.append(made)
        return made

    def now(self) -> str:
        return f"{self._moment():%Y-%m-%dT%H:%M:%SZ}"

    # -- what the API does --

    def answer(
        self, verb: str, target: str, token: str | None, body: bytes, base: str
    ) -> tuple[Answer, Fault | None]:
        """Return the answer to a request, and the fault that is still to come over it."""
        url = urllib.parse.urlsplit(target)
        path = url.path.removeprefix(self._prefix)
        with self.lock:
            # Each counts every request, so that which one hits does not depend on the others.
            hits = [fault for fault in self._faults if fault.hits(verb, path)]
            fault = hits[0] if hits else None
            if fault is not None and (answer := self._before(fault)) is not None:
                self.requests.append((verb, target, answer.status))
                return answer, fault
            try:
                if not url.path.startswith(self._prefix):
                    raise Refusal(_error(404, "Not Found"))
                answer = self._routed(verb, path, dict(urllib.parse.parse_qsl(url.query)), token, body, base)
            except Refusal as refusal:
                answer = refusal.answer
            if answer.kind and (problem := schema.problem_of(answer.value, schema.ANSWERS[answer.kind])):
                self.problems.append(f"{verb} {target}: {problem}")
            if fault is not None and fault.kind == "error-after":
                answer = Answer(fault.status, raw=b"<html>Unicorn!</html>")
            self.requests.append((verb, target, answer.status))
            return answer, fault

    def headers(self) -> dict[str, str]:
        left = LIMIT - len(self.requests)
        return {
            "Date": email.utils.format_datetime(self._moment(), usegmt=True),
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(int(self._moment().timestamp()) + 3600),
            "X-RateLimit-Resource": "core",
            "X-RateLimit-Used": str(LIMIT - left),
        }

    def _before(self, fault: Fault) -> Answer | None:
        """The answer of a fault that keeps a request from happening."""
        wait = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        if fault.kind == "error":
            return Answer(fault.status, raw=b"<html>Unicorn!</html>")
        if fault.kind == "429":
            return _error(429, "Too many requests", wait)
        if fault.kind == "rate-limit":
            reset = self._moment().timestamp() + (fault.retry_after or 0)
            spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset))}
            return _error(403, "API rate limit exceeded for user ID 1.", spent)
        if fault.kind == "secondary":
            return _error(
                403,
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            )
        if fault.kind == "abuse":
            return _error(
                403,
                "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.",
            )
        if fault.kind == "silent":
            return _error(403, "No.")
        if fault.kind == "forbidden":
            return _error(403, "Resource not accessible by personal access token")
        if fault.kind == "html":
            return Answer(200, raw=b"<html>Please log in</html>")
        return Answer(0) if fault.kind == "cut" else None

    def _routed(
        self, verb: str, path: str, query: dict[str, str], token: str | None, body: bytes, base: str
    ) -> Answer:
        if token != self.token:
            raise Refusal(_error(401, "Bad credentials"))
        name, rest = self._named(path, base)
        home = self._repo(name)
        if not home["on"]:
            raise Refusal(_error(410, "Issues are disabled for this repo"))
        view = _View(name, base)
        if rest == "/issues" and verb == "GET":
            return self._page(
                self._listed(home, query), query, f"{base}/repositories/{home['id']}{rest}", view.issue
            )
        if rest == "/issues" and verb == "POST":
            return self._created(home, self._body(body, verb, "issues"), view)
        if rest == "/issues/comments" and verb == "GET":
            entries = self._listed_comments(home, query)
            return self._page(
                entries, query, f"{base}/repositories/{home['id']}{rest}", lambda pair: view.comment(*pair)
            )
        if match := re.fullmatch(r"/issues/([0-9]+)/labels(?:/([^/]+))?", rest):
            issue = self._found(home, match[1], rest, base)
            if match[2] is None and verb == "POST":
                new = self._labels(home, self._body(body, verb, "labels")["labels"])
                return self._relabelled(issue, [*issue["labels"], *new], view)
            if match[2] and verb == "DELETE":
                gone = urllib.parse.unquote(match[2]).lower()
                if gone not in map(str.lower, issue["labels"]):
                    raise Refusal(_error(404, "Label does not exist"))
                kept = [label for label in issue["labels"] if label.lower() != gone]
                return self._relabelled(issue, kept, view)
        if match := re.fullmatch(r"/issues/([0-9]+)(/comments)?", rest):
            issue = self._found(home, match[1], rest, base)
            if match[2] is None and verb == "GET":
                return Answer(200, "issue", view.issue(issue))
            if match[2] is None and verb == "PATCH":
                return self._edited(home, issue, self._body(body, verb, "issue"), view)
            if match[2] and verb == "GET":
                pairs = [(issue, comment) for comment in issue["comments"]]
                return self._page(
                    pairs, query, f"{base}/repositories/{home['id']}{rest}", lambda pair: view.comment(*pair)
                )
            if match[2] and verb == "POST":
                return self._commented(issue, self._body(body, verb, "comments"), view)
        raise Refusal(_error(404, "Not Found"))

    def _named(self, path: str, base: str) -> tuple[str, str]:
        """The repository that a path is about, and the rest of the path."""
        if match := re.fullmatch(r"/repositories/([0-9]+)(/.*)?", path):
            for name, home in self._data["repos"].items():
                if home["id"] == int(match[1]):
                    return name, match[2] or ""
        elif match := re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path):
            for name in self._data["repos"]:
                if name.lower() == match[1].lower():
                    return name, match[2] or ""
            if match[1] in self._data["renamed"]:
                home = self._repo(self._data["renamed"][match[1]])
                raise Refusal(_moved(f"{base}/repositories/{home['id']}{match[2] or ''}"))
        raise Refusal(_error(404, "Not Found"))

    def _found(self, home: dict[str, Any], number: str, rest: str, base: str) -> dict[str, Any]:
        issue: dict[str, Any] | None = home["issues"].get(number)
        if issue is None:
            raise Refusal(_error(404, "Not Found"))
        if issue.get("gone") == "deleted":
            raise Refusal(_error(410, "This issue was deleted"))
        if "gone" in issue:
            repo, new = issue["gone"]
            tail = rest.removeprefix(f"/issues/{number}")
            raise Refusal(_moved(f"{base}/repositories/{self._repo(repo)['id']}/issues/{new}{tail}"))
        return issue

    def _body(self, body: bytes, verb: str, what: str) -> dict[str, Any]:
        try:
            values = json.loads(body)
        except ValueError:
            raise Refusal(_error(400, "Problems parsing JSON")) from None
        if problem := schema.problem_of(values, schema.BODIES[verb, what]):
            self.problems.append(f"{verb} {what}: {problem}")
        limits = {"title": 256, "body": 65_536}
        for name, limit in limits.items():
            if len(values.get(name) or "") > limit:
                raise Refusal(_invalid(name, "custom", f"{name} is too long (maximum is {limit} characters)"))
        if "title" in values and not str(values["title"]).strip():
            raise Refusal(_invalid("title", "missing_field"))
        if any(not 0 < len(label) <= 50 for label in values.get("labels", [])):
            raise Refusal(_invalid("name", "custom", "name is too long (maximum is 50 characters)"))
        return dict(values)

    def _created(self, home: dict[str, Any], values: dict[str, Any], view: _View) -> Answer:
        number = self.add_issue(
            values["title"], values.get("body") or "", values.get("labels"), "sync-bot", view.name
        )
        return Answer(201, "issue", view.issue(home["issues"][str(number)]))

    def _edited(
        self, home: dict[str, Any], issue: dict[str, Any], values: dict[str, Any], view: _View
    ) -> Answer:
        if "labels" in values:
            values["labels"] = self._labels(home, values["labels"])
        if values.get("state", issue["state"]) != issue["state"]:
            issue["closed_at"] = self.now() if values["state"] == "closed" else None
        known = {
            name: value for name, value in values.items() if name in ("title", "body", "labels", "state")
        }
        if any(issue[name] != value for name, value in known.items()):
            issue.update(known)
            issue["updated_at"] = self.now()
            self._save()
        return Answer(200, "issue", view.issue(issue))

    def _relabelled(self, issue: dict[str, Any], labels: list[str], view: _View) -> Answer:
        if (new := list(dict.fromkeys(labels))) != issue["labels"]:
            issue.update(labels=new, updated_at=self.now())
            self._save()
        alone = {"archived_at": None, "archived_by": None}  # which an issue does not say of its labels
        return Answer(200, "label", [view.label(name) | alone for name in issue["labels"]])

    def _commented(self, issue: dict[str, Any], values: dict[str, Any], view: _View) -> Answer:
        if issue["locked"]:
            raise Refusal(_error(403, "Unable to create comment because issue is locked."))
        now = self.now()
        comment = {
            "id": self._id(),
            "body": values["body"],
            "author": "sync-bot",
            "created_at": now,
            "updated_at": now,
        }
        issue["comments"].append(comment)
        issue["updated_at"] = now
        self._save()
        return Answer(201, "comment", view.comment(issue, comment))

    def _listed(self, home: dict[str, Any], query: dict[str, str]) -> list[dict[str, Any]]:
        state, since = query.get("state", "open"), query.get("since", "")
        key = {"updated": "updated_at"}.get(query.get("sort", "created"), "created_at")
        issues = [
            issue
            for issue in home["issues"].values()
            if "gone" not in issue and state in ("all", issue["state"]) and issue["updated_at"] >= since
        ]
        issues.sort(
            key=lambda issue: (issue[key], issue["number"]), reverse=query.get("direction", "desc") == "desc"
        )
        return issues

    def _listed_comments(
        self, home: dict[str, Any], query: dict[str, str]
    ) -> list[tuple[dict[str, Any], Any]]:
        pairs = [
            (issue, comment)
            for issue in home["issues"].values()
            if "gone" not in issue
            for comment in issue["comments"]
            if comment["updated_at"] >= query.get("since", "")
        ]
        pairs.sort(
            key=lambda pair: (pair[1]["updated_at"], pair[1]["id"]),
            reverse=query.get("direction", "asc") == "desc",
        )
        return pairs

    def _page(
        self, entries: list[Any], query: dict[str, str], address: str, shown: Callable[[Any], dict[str, Any]]
    ) -> Answer:
        size, page = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        last = max(1, -(-len(entries) // size))
        links = [("next", page + 1), ("last", last)] if page < last else []
        if page > 1:
            links += [("first", 1), ("prev", page - 1)]
        link = ", ".join(
            f'<{address}?{urllib.parse.urlencode({**query, "page": number})}>; rel="{name}"'
            for name, number in links
        )
        values = [shown(entry) for entry in entries[(page - 1) * size : page * size]]
        kind = "comment" if "comments" in address else "issue"
        return Answer(200, kind, values, {"Link": link} if link else {})

    # -- data --

    def _repo(self, name: str | None) -> dict[str, Any]:
        home: dict[str, Any] = self._data["repos"][name or self.repo]
        return home

    def _labels(self, home: dict[str, Any], names: list[str]) -> list[str]:
        """Labels as the repository spells them; upper and lower case are the same, and new ones are made."""
        return list(dict.fromkeys(home["labels"].setdefault(name.lower(), name) for name in names))

    def _id(self) -> int:
        self._data["next_id"] += 1
        return int(self._data["next_id"])

    def _moment(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self._data["offset"])

    def _save(self) -> None:
        if self._state is not None:
            new = self._state.with_name(f"{self._state.name}.new")
            new.write_text(json.dumps(self._data, indent=1))
            os.replace(new, self._state)

    # -- control over HTTP --

    def controlled(self, verb: str, name: str, body: bytes) -> Answer:
        """What a test that runs elsewhere asks for."""
        with self.lock:
            if verb == "GET" and name == "state":
                return Answer(200, "", {"issues": self.issues(), "problems": self.problems})
            if verb == "GET" and name == "requests":
                return Answer(200, "", self.requests)
            if verb == "POST" and name in DEEDS:
                result = getattr(self, name)(**json.loads(body or b"{}"))
                return Answer(200, "", {"result": result if isinstance(result, int) else None})
        return _error(404, "Not Found")


class _View:
    """How a repository's content looks in an answer."""

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self._api = f"{base}/repos/{name}"
        self._web = f"https://github.test/{name}"
        self._base = base

    def issue(self, issue: dict[str, Any]) -> dict[str, Any]:
        url, web = f"{self._api}/issues/{issue['number']}", f"{self._web}/issues/{issue['number']}"
        values = {
            "id": issue["id"],
            "node_id": f"I_{issue['id']}",
            "url": url,
            "repository_url": self._api,
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": web,
            "number": issue["number"],
            "state": issue["state"],
            "state_reason": "completed" if issue["state"] == "closed" else None,
            "title": issue["title"],
            "body": issue["body"] or None,
            "user": self._user(issue["author"]),
            "labels": [self.label(name) for name in issue["labels"]],
            "assignees": [],
            "milestone": None,
            "locked": issue["locked"],
            "active_lock_reason": None,
            "comments": len(issue["comments"]),
            "closed_at": issue["closed_at"],
            "created_at": issue["created_at"],
            "updated_at": issue["updated_at"],
            "author_association": "NONE",
        }
        if issue["pull_request"]:
            pull = {
                "url": url.replace("/issues/", "/pulls/"),
                "html_url": web,
                "diff_url": web,
                "patch_url": web,
            }
            values |= {"pull_request": pull, "draft": False}
        return values

    def comment(self, issue: dict[str, Any], comment: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": comment["id"],
            "node_id": f"IC_{comment['id']}",
            "url": f"{self._api}/issues/comments/{comment['id']}",
            "html_url": f"{self._web}/issues/{issue['number']}#issuecomment-{comment['id']}",
            "issue_url": f"{self._api}/issues/{issue['number']}",
            "body": comment["body"],
            "user": self._user(comment["author"]),
            "created_at": comment["created_at"],
            "updated_at": comment["updated_at"],
            "author_association": "NONE",
        }

    def label(self, name: str) -> dict[str, Any]:
        return {
            "id": sum(name.encode()),
            "node_id": f"LA_{sum(name.encode())}",
            "url": f"{self._api}/labels/{urllib.parse.quote(name)}",
            "name": name,
            "description": None,
            "color": "ededed",
            "default": False,
        }

    def _user(self, login: str | None) -> dict[str, Any] | None:
        if login is None:
            return None  # a deleted account
        url = f"{self._base}/users/{login}"
        addresses = (
            "followers",
            "following",
            "gists",
            "starred",
            "subscriptions",
            "organizations",
            "repos",
            "events",
        )
        return {
            "login": login,
            "id": sum(login.encode()),
            "node_id": f"U_{sum(login.encode())}",
            "avatar_url": "https://github.test/avatar.png",
            "gravatar_id": "",
            "url": url,
            "html_url": f"https://github.test/{login}",
            **{f"{name}_url": f"{url}/{name}" for name in (*addresses, "received_events")},
            "type": "User",
            "site_admin": False,
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeGitHub
    protocol_version = "HTTP/1.1"
    # A client that keeps its connection open does not keep a thread for ever.
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if control := re.fullmatch(r"/_fake/([a-z_]+)", self.path):
            self._send(self.fake.controlled(self.command, control[1], body))
            return
        scheme, _space, token = (self.headers.get("Authorization") or "").partition(" ")
        base = f"http://{self.headers.get('Host')}{self.fake._prefix}"
        answer, fault = self.fake.answer(
            self.command, self.path, token if scheme.lower() in ("token", "bearer") else None, body, base
        )
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.retry_after or 0)
        if fault is not None and fault.call is not None:
            fault.call()
        if fault is not None and fault.kind in ("cut", "cut-after"):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        with contextlib.suppress(OSError):  # the client may have gone
            self._send(answer)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815

    def _send(self, answer: Answer) -> None:
        """Send everything at once: in two pieces, the second would wait for the first to be acknowledged."""
        body = answer.raw if answer.raw is not None else json.dumps(answer.value).encode()
        kind = "text/html" if answer.raw is not None else "application/json; charset=utf-8"
        headers = {
            **self.fake.headers(),
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **answer.headers,
        }
        lines = [
            f"HTTP/1.1 {answer.status} X",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        self.wfile.write("\r\n".join(lines).encode() + body)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    value = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return Answer(status, "error", value, headers or {})


def _moved(location: str) -> Answer:
    value = {"message": "Moved Permanently", "url": location, "documentation_url": DOCUMENTATION}
    return Answer(301, "error", value, {"Location": location})


def _invalid(name: str, code: str, message: str | None = None) -> Answer:
    error = {"resource": "Issue", "field": name, "code": code} | ({"message": message} if message else {})
    return Answer(
        422,
        "invalid",
        {"message": "Validation Failed", "documentation_url": DOCUMENTATION, "errors": [error]},
    )


def running(*arguments: Any, **options: Any) -> Iterator[FakeGitHub]:
    """For a fixture: a server that runs meanwhile, and which every answer of was as GitHub's are."""
    with FakeGitHub(*arguments, **options) as fake:
        yield fake
        assert fake.problems == []
