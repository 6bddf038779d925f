# Copyright: Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Shows how far a run is: services done of total, what is waited for, elapsed time."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from ansible import constants as C  # noqa: N812 -- as everywhere in Ansible
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = r"""
name: dockfra_progress
type: stdout
short_description: Progress of a platform run
description:
  - Ansible's default output without the tasks that changed nothing (B(-v) shows them), plus progress.
  - On a terminal the last line tells how many services are done, the elapsed time and what is being
    waited for. Elsewhere each finished service is a line of its own, and a heartbeat tells what is being
    waited for.
  - Any task's result may carry C(dockfra_pending) (a mapping of each service with work to do to the
    reasons), C(dockfra_total) (the number of all services), C(dockfra_service) (one or a list of mappings
    of C(name) and C(state); the state C(ready) means that the service is done, C(begun) that
    work on it has begun), C(dockfra_notes) (a list of
    sentences that are shown at the end), C(dockfra_steps) (lists of services that are worked on one list after the other, up to
    the first that fails) and C(dockfra_summary) (text shown at the very end of a run without failures).
  - A failed result with C(dockfra_problems) (sentences for a person) is shown as these sentences only, at the end.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  heartbeat:
    description: Seconds between two heartbeat lines where output is no terminal; 0 for none.
    type: float
    default: 15
    env:
      - name: DOCKFRA_HEARTBEAT
    ini:
      - section: callback_dockfra_progress
        key: heartbeat
"""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ERASE = "\r\x1b[J"
# How Ansible words a password that was not taken, and how people do.
_WORDINGS = {
    re.compile(r"Duplicate become password prompt|Incorrect \w+ password"): (
        "sudo does not take the password; run the same command again with the right one"
    ),
    re.compile(r"Missing \w+ password|a password is required"): (
        "sudo asks for a password; run the same command again with -K, which asks you for it"
    ),
}
_DEBUG_ACTIONS = frozenset(("debug", "ansible.builtin.debug", "ansible.legacy.debug"))


def clean(text: str) -> str:
    """One line without control characters: nothing a task returns may move the cursor."""
    return " ".join(_CONTROL.sub("", text).split())


def cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, columns: int) -> str:
    """The part of a line that fits, counted in screen cells."""
    if sum(map(cells, text)) <= columns:
        return text
    used = 0
    for index, char in enumerate(text):
        used += cells(char)
        if used > columns - 1:
            return text[:index] + "…"
    return text


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


# What OpenSSH draws around a warning.
_BANNER = re.compile(r"@{10,}\s*@\s+(.*?)\s+@\s+@{10,}")


def first_error(result: Mapping[str, Any]) -> str:
    """The first line of what went wrong, and the second where the first only leads to it."""
    for key in ("msg", "stderr", "module_stderr", "stdout", "module_stdout"):
        lines = map(clean, _BANNER.sub(r"\1", str(result.get(key) or "")).splitlines())
        first, second, *_others = [*filter(None, lines), "", ""]
        if first:
            text = f"{first} {second}".rstrip() if first.endswith(":") else first
            return next((told for wording, told in _WORDINGS.items() if wording.search(text)), text)
    return f"exit status {result['rc']}" if "rc" in result else "no message"


class Progress:
    """What is known about the run. No output, no threads."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        # One plan for each Docker host, replaced when the host is compared again.
        self.plans: dict[str, tuple[int, frozenset[str]]] = {}
        self.pending: dict[str, str] = {}
        self.running: dict[str, str] = {}
        self.tries: dict[str, int] = {}
        self.item_errors: dict[str, str] = {}
        self.ready: set[str] = set()
        self.failures: dict[str, tuple[str, str]] = {}
        self.problems: dict[str, None] = {}
        self.explained: set[str] = set()
        # One list for each Docker host, replaced like its plan.
        self.notes: dict[str, list[str]] = {}
        self.summary = ""
        self.steps: list[list[str]] = []
        self.begun: set[str] = set()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def observe(self, result: Mapping[str, Any]) -> list[str]:
        """Takes what a result says about services; returns those that have just become ready."""
        pending = result.get("dockfra_pending")
        if isinstance(pending, Mapping):
            place = str(result.get("docker_host", ""))
            for name in self.plans.get(place, (0, ()))[1]:
                self.pending.pop(name, None)
            for name, why in pending.items():
                reasons = why if isinstance(why, (list, tuple)) else [why]
                self.pending[str(name)] = ", ".join(map(str, reasons))
            self.ready.difference_update(self.pending)
            total = int(result.get("dockfra_total") or len(pending))
            self.plans[place] = (total, frozenset(map(str, pending)))
        if isinstance(notes := result.get("dockfra_notes"), list):
            self.notes[str(result.get("docker_host", ""))] = [str(note) for note in notes]
        if isinstance(summary := result.get("dockfra_summary"), str):
            self.summary = summary
        if isinstance(steps := result.get("dockfra_steps"), list):
            self.steps = [[str(name) for name in step] for step in steps]
        services = result.get("dockfra_service") or ()
        fresh = []
        for service in (services,) if isinstance(services, Mapping) else services:
            name = str(service.get("name", "")) if isinstance(service, Mapping) else ""
            if name and service.get("state") in ("begun", "ready"):
                self.begun.add(name)
            if name and service.get("state") == "ready" and name not in self.ready:
                self.ready.add(name)
                if self.pending.pop(name, None) is not None:
                    fresh.append(name)
        return fresh

    def count(self) -> str:
        if not self.plans:
            return ""
        total = sum(total for total, _ in self.plans.values())
        return f"[{total - len(self.pending)}/{total}] "

    def order(self) -> str:
        """The steps in words."""
        return ", then ".join(" + ".join(step) for step in self.steps)

    def left(self) -> tuple[list[str], list[str]]:
        """Of a run in steps that has failed: the services that are done, and those that were not touched."""
        names = [name for step in self.steps for name in step]
        done = [name for name in names if name in self.ready]
        return done, [name for name in names if name not in self.begun]

    def waiting(self) -> list[str]:
        """Running tasks, the longest first; between tasks, the services with work left and why."""
        # Copies first: the ticker's thread reads while the main thread writes.
        running = list(dict.fromkeys(list(self.running.values())))
        return running or [f"{name} ({why})" if why else name for name, why in list(self.pending.items())]

    def line(self, columns: int) -> str:
        head = f"{self.count()}{duration(self.elapsed)}"
        waiting = self.waiting()
        if not waiting:
            return clip(head, columns)
        head += "  waiting for: "
        for shown in range(len(waiting), 0, -1):
            more = f" +{len(waiting) - shown} more" if shown < len(waiting) else ""
            text = head + ", ".join(waiting[:shown]) + more
            if len(text) <= columns:
                return text
        more = f" +{len(waiting) - 1} more" if len(waiting) > 1 else ""
        return clip(clip(head + waiting[0], columns - len(more)) + more, columns)


class Ticker:
    """Shows the progress line while tasks run: redrawn on a terminal, else a line now and then."""

    def __init__(self, display: Any, line: Callable[[int], str], heartbeat: float) -> None:
        self._display = display
        self._line = line
        self._heartbeat = heartbeat
        # Ansible takes this lock around each fork, so no child inherits output in an odd state.
        self._lock = getattr(display, "_lock", None) or threading.RLock()
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown = False
        self._line_start = True
        self._last_output = time.monotonic()
        self._wrapped: list[TextIO] = []
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def start(self) -> None:
        if self._thread or (not self.live and self._heartbeat <= 0):
            return
        for stream in (sys.stdout, sys.stderr):
            if not self.live or stream.isatty():
                self._wrap(stream)
        atexit.register(self.stop)
        self._thread = threading.Thread(target=self._run, name="dockfra-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the display for good and leaves no trace of the line."""
        if self._stop.is_set() or os.getpid() != self._pid:
            return
        self._stop.set()
        self._wake.set()
        with self._lock:
            self._erase()
            for stream in self._wrapped:
                with contextlib.suppress(AttributeError):
                    del stream.write
            self._wrapped.clear()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)
        atexit.unregister(self.stop)

    def changed(self) -> None:
        self._wake.set()

    def _wrap(self, stream: TextIO) -> None:
        original = stream.write

        def write(text: str) -> int:
            if os.getpid() != self._pid:
                return original(text)
            with self._lock:
                self._erase()
                count = original(text)
                if text:
                    self._line_start = text.endswith("\n")
                    self._last_output = time.monotonic()
            self._wake.set()
            return count

        stream.write = write  # type: ignore[method-assign]
        self._wrapped.append(stream)

    def _erase(self) -> None:
        if self._shown:
            self._shown = False
            self._raw(_ERASE)

    def _raw(self, text: str) -> None:
        # Past the wrapper: the type's own method. A terminal that has gone away is no reason to fail.
        with contextlib.suppress(OSError, ValueError):
            type(sys.stdout).write(sys.stdout, text)
            sys.stdout.flush()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self._wake.wait(0.9)
            self._wake.clear()
            try:
                if self.live:
                    self._draw()
                elif self._line_start and time.monotonic() - self._last_output >= self._heartbeat:
                    self._display.display(self._line(200))
                self._flush()
            except Exception:  # noqa: BLE001 -- a fault in the display is no reason to disturb the run
                return

    def _draw(self) -> None:
        with self._lock:
            if self._stop.is_set() or not self._line_start:
                return
            try:
                columns = os.get_terminal_size(sys.stdout.fileno()).columns
            except OSError:
                columns = 80
            # The cursor stays at the line's start, so whatever writes next, a shell too, overwrites the line.
            self._raw(_ERASE + self._line(max(columns - 1, 10)) + "\r")
            self._shown = True

    def _flush(self) -> None:
        # Into a pipe Python writes only full blocks; progress is for someone who reads along.
        if not self.live:
            with self._lock, contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "dockfra_progress"

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress()
        self._ticker: Ticker | None = None
        self._show_all = False
        self._playbook = ""
        self._play_begun = ""

    def get_option(self, k: str, hostvars: Any = None) -> Any:
        value = super().get_option(k, hostvars)
        if k in ("display_ok_hosts", "display_skipped_hosts") and not self._show_all:
            return value and self._display.verbosity > 0
        return value

    @property
    def _quiet(self) -> bool:
        return bool(self._display.verbosity == 0)

    # -- the run --

    def v2_playbook_on_start(self, playbook: Any) -> None:
        super().v2_playbook_on_start(playbook)
        self._playbook = str(playbook._file_name)
        self._ticker = Ticker(self._display, self._progress.line, self.get_option("heartbeat"))
        self._ticker.start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._progress.running.clear()
        again = play._uuid == self._play_begun
        self._play_begun, self._play = play._uuid, play
        # The same play for the hosts of the next step is nothing to tell.
        if not (again and self._quiet):
            super().v2_playbook_on_play_start(play)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        super().v2_runner_on_start(host, task)
        name = host.get_name()
        self._progress.running[name] = self._waiting_for(name, task)
        self._progress.tries.pop(name, None)
        self._progress.item_errors.pop(name, None)
        self._changed()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._ticker:
            self._ticker.stop()
        super().v2_playbook_on_stats(stats)
        for note in dict.fromkeys(note for notes in self._progress.notes.values() for note in notes):
            self._display.display(clean(note))
        self._tell_failures(stats)
        if self._progress.summary and not self._progress.failures:
            self._display.display(self._progress.summary)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if not self._quiet:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if not self._quiet:
            super().v2_playbook_on_include(included_file)

    # -- results --

    def v2_runner_on_ok(self, result: Any) -> None:
        with self._result(result):
            if self._quiet and not result.result.get("changed", False):
                if result.task.action not in _DEBUG_ACTIONS:
                    self._handle_warnings_and_exception(result)
                    return
                self._show_all = True
            try:
                super().v2_runner_on_ok(result)
            finally:
                self._show_all = False

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        with self._result(result):
            if not ignore_errors:
                self._failed(result)
            if not self._explained(result):
                super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        with self._result(result):
            if not result.task.ignore_unreachable:
                self._failed(result)
            super().v2_runner_on_unreachable(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        with self._result(result):
            if self._quiet:
                self._handle_warnings_and_exception(result)
            else:
                super().v2_runner_on_skipped(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        with self._result(result, ended=False):
            self._show_all = result.task.action in _DEBUG_ACTIONS
            try:
                super().v2_runner_item_on_ok(result)
            finally:
                self._show_all = False

    def v2_runner_retry(self, result: Any) -> None:
        if not self._quiet:
            super().v2_runner_retry(result)
        name = result.host.get_name()
        self._progress.tries[name] = tries = self._progress.tries.get(name, 1) + 1
        self._progress.running[name] = self._waiting_for(name, result.task, f", try {tries}")
        self._changed()

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._progress.item_errors.setdefault(result.host.get_name(), first_error(result.result))
        if not self._explained(result):
            super().v2_runner_item_on_failed(result)

    def v2_runner_on_async_poll(self, result: Any) -> None:
        if not self._quiet:
            super().v2_runner_on_async_poll(result)

    def v2_runner_on_async_ok(self, result: Any) -> None:
        if not self._quiet:
            super().v2_runner_on_async_ok(result)

    # -- helpers --

    def _explained(self, result: Any) -> bool:
        """Whether the result says in plain words what is wrong; these are shown at the end, and nothing else."""
        items = [item for item in result.result.get("results") or () if isinstance(item, Mapping)]
        told = [
            result.result.get("dockfra_problems"),
            *(item.get("dockfra_problems") for item in items if item.get("failed")),
        ]
        problems = [str(problem) for entry in told for problem in entry or ()]
        self._progress.problems.update(dict.fromkeys(problems))
        if problems:
            self._progress.explained.add(result.host.get_name())
        return bool(problems) and self._quiet

    @contextlib.contextmanager
    def _result(self, result: Any, ended: bool = True) -> Iterator[None]:
        """Around showing a result: the default output first, then what it means for the services."""
        # A fact counts as well as a result's own key. Taken first: showing a result may strip it.
        values = {**(result.result.get("ansible_facts") or {}), **result.result}
        told = {key: values[key] for key in values if key.startswith(("dockfra_", "docker_host"))}
        if ended:
            self._progress.running.pop(result.host.get_name(), None)
        yield
        fresh = self._progress.observe(told)
        if told.get("dockfra_steps"):
            self._display.display(f"In this order, as each is well: {clean(self._progress.order())}")
        for name in fresh:
            self._display.display(
                f"{self._progress.count()}{clean(name)} ready after {self._progress.elapsed:.1f}s",
                color=C.COLOR_OK,
            )
        self._changed()

    def _changed(self) -> None:
        if self._ticker:
            self._ticker.changed()

    def _failed(self, result: Any) -> None:
        host = result.host.get_name()
        # A failed loop itself only says that some item failed.
        error = self._progress.item_errors.get(host) or first_error(result.result)
        # With ansible-core 2.21 the name begins with the task's role.
        role = result.task._role
        name = str(result.task_name).removeprefix(f"{role.get_name()} : " if role else "")
        self._progress.failures[host] = (clean(name), error)

    def _waiting_for(self, host: str, task: Any, more: str = "") -> str:
        name = str(task.name or task.action)
        if "{{" in name and self._last_task_name:
            # A linear play has announced the task with its name already templated.
            name = str(self._last_task_name).rpartition(" : ")[2]
        name = clean(name) + more
        # What runs once belongs to no host, whichever it is sent to.
        return name if host == "localhost" or task.run_once else f"{host} ({name})"

    def _tell_failures(self, stats: Any) -> None:
        broken = sorted(host for host in stats.processed if stats.failures.get(host) or stats.dark.get(host))
        if not broken:
            return
        for problem in self._progress.problems:
            self._display.display(f"FAILED {problem}", color=C.COLOR_ERROR)
        for host in (host for host in broken if host not in self._progress.explained):
            task, error = self._progress.failures.get(host, ("unknown task", "see above"))
            self._display.display(f"FAILED {host}: {task}: {error}", color=C.COLOR_ERROR)
        done, untouched = self._progress.left()
        if done:
            self._display.display(f"Done: {clean(', '.join(done))}", color=C.COLOR_ERROR)
        if untouched:
            self._display.display(
                f"Not touched, because the run ends at the first that does not get well: {clean(', '.join(untouched))}",
                color=C.COLOR_ERROR,
            )
        self._display.display(
            f"Next: put right what is named above, then run {self._command()} again; what is done already "
            'stays done. More: docs/operate.md, "When a step fails".',
            color=C.COLOR_HIGHLIGHT,
        )

    def _command(self) -> str:
        sources: Sequence[str] = context.CLIARGS.get("inventory") or ()
        inventory = os.path.normpath(str(sources[0])) if len(sources) == 1 else ""
        parent, name = os.path.split(inventory)
        if os.path.basename(self._playbook) == "site.yml" and os.path.basename(parent) == "inventories":
            return f"./init.sh {name}"
        return "the same command"
