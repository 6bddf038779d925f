# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask a model a question; its words appear as they come.

Files go along with --file, which may be given again; --file - reads the input. Secrets of this container are taken out of all of
it before it is sent, and --show-prompt shows what that leaves. The settings LLM_* of ~/.env say which model is asked and what a
day may cost. Where the answer breaks off, what has come stays, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ....module_utils.errors import LLMBrokenOffError, UsageError
from ...cli import material, output
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = [
    'ask "What does exit status 137 of a container mean?"',
    'ask "Why does this fail?" --file build.log',
    'docker logs dockfra-backend 2>&1 | ask "What went wrong?" --file -',
]

# Seconds: more than the client gives an answer, so that it is the client that says who was late.
TIME_LIMIT = 180.0

_FROM_INPUT = "-"
_MOST_FILES = 20
_TASK = (
    "You help the {role} of Dockfra, a small platform of Docker containers in which every role (manager, autopilot, developer, "
    "monitor) has a container of its own. Your answer is read on a terminal: plain text, short lines, no tables, and of Markdown at "
    "most lists and blocks of code. Say when you do not know."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    parser.add_argument("question", metavar="QUESTION", help="what you want to know; - reads the input")
    parser.add_argument(
        "--file",
        dest="files",
        action="append",
        default=[],
        metavar="FILE",
        help=f"goes along with the question, all of them up to {material.MOST // 1024} KiB; - reads the input",
    )
    models.add_arguments(parser)


def reads_input(options: argparse.Namespace) -> bool:
    return _FROM_INPUT in (options.question, *options.files)


def run(call: Call) -> dict[str, Any]:
    from ....module_utils.llm.model import Question
    from ...cli import models

    question = Question(_text(call), f"{_TASK.format(role=call.place.name)} {material.NOTICE}")
    client = models.of(call)
    if call.options.show_prompt:
        return models.preview(client, question)
    if call.options.json:
        answer = client.ask(question)
        return {"answer": answer.text, **answer.to_dict()}
    try:
        answer = client.ask(question, _say)
    except LLMBrokenOffError as error:
        _end(error.partial)
        raise
    _end(answer.text)
    call.tell(models.cost(answer))
    return {}


def render(data: dict[str, Any], style: Style) -> str:
    from ...cli import models

    return models.render_preview(data)  # the answer has been said


def _text(call: Call) -> str:
    """The question, and all that goes along."""
    options = call.options
    if [options.question, *options.files].count(_FROM_INPUT) > 1:
        raise UsageError("the input can be read only once")
    if len(options.files) > _MOST_FILES:
        raise UsageError(f"at most {_MOST_FILES} files go along; put some together")
    room = material.Room()
    asked = options.question
    if asked == _FROM_INPUT:
        asked = room.take("the input", call.input())
    if not asked.strip():
        raise UsageError("the question is empty")
    parts = [asked.strip()]
    for name in options.files:
        if name == _FROM_INPUT:
            parts.append(material.marked("input", room.take("the input", call.input())))
        else:
            parts.append(material.marked(name, room.read(name)))
    return "\n\n".join(parts)


def _say(words: str) -> None:
    output.put(sys.stdout, words, end="")


def _end(said: str) -> None:
    """What follows begins on a line of its own."""
    if said and not said.endswith("\n"):
        _say("\n")
