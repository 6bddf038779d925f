# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals that wait until something has been put in order: each in a process of its own that sends them to itself."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

HEAD = f"""
import os, signal, sys
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.dockfra.core.plugins.module_utils.processes.signals import Signals

def send(name):
    os.kill(os.getpid(), getattr(signal, "SIG" + name))
"""


def said(program: str) -> tuple[int, list[str]]:
    """The exit status of a program, and the lines that it has printed."""
    text = HEAD + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("name", ["INT", "HUP", "QUIT", "TERM", "ALRM"])
def test_nothing_ends_what_puts_things_in_order(name: str) -> None:
    status, lines = said(f"""
        signal.signal(signal.SIG{name}, lambda number, frame: sys.exit(9))
        with Signals() as signals:
            try:
                with signals.heeded():
                    raise BrokenPipeError
            except BaseException:
                send("{name}")
                send("{name}")
                print("in order", flush=True)
        print("not reached")
        """)
    assert (status, lines) == (9, ["in order"])


def test_the_first_ends_the_work_and_the_second_waits() -> None:
    status, lines = said("""
        with Signals() as signals:
            try:
                with signals.heeded():
                    send("TERM")
                    print("not reached")
            except SystemExit as end:
                send("HUP")
                print(end.code, flush=True)
                raise
        """)
    # What waited comes then, and does what it does to any process.
    assert (status, lines) == (-1, ["143"])


def test_what_has_come_before_ends_the_work_at_once() -> None:
    status, lines = said("""
        with Signals() as signals:
            send("TERM")
            print("prepared", flush=True)
            try:
                with signals.heeded():
                    print("not reached")
            except SystemExit as end:
                print(end.code, flush=True)
        print("goes on", flush=True)
        """)
    assert (status, lines) == (0, ["prepared", "143", "goes on"])


def test_where_nothing_heeds_them_around_it_they_wait_for_that() -> None:
    status, lines = said("""
        with Signals():
            with Signals() as inner, inner.heeded():
                send("TERM")
                print("goes on", flush=True)
            print("in order", flush=True)
        print("not reached")
        """)
    assert (status, lines) == (-15, ["goes on", "in order"])


def test_within_work_that_heeds_them_both_know_of_the_first() -> None:
    status, lines = said("""
        try:
            with Signals() as outer:
                try:
                    with outer.heeded(), Signals() as inner, inner.heeded():
                        send("INT")
                except KeyboardInterrupt:
                    send("INT")
                    print("in order", flush=True)
        except KeyboardInterrupt:
            print("and then", flush=True)
        """)
    assert (status, lines) == (0, ["in order", "and then"])


def test_there_is_no_time_limit_where_none_was() -> None:
    status, lines = said("""
        with Signals():
            print(signal.getsignal(signal.SIGALRM) == signal.SIG_DFL)
        """)
    assert (status, lines) == (0, ["True"])


def test_what_is_ignored_stays_so() -> None:
    status, lines = said("""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with Signals() as signals, signals.heeded():
            send("HUP")
            print("goes on")
        """)
    assert (status, lines) == (0, ["goes on"])
