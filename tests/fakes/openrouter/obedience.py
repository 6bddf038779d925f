"""A model that does whatever a text tells it: the worst case of an injection, for tests of what stands around the model.

It looks everywhere in what it was sent, whoever said it: for JSON, for fake tool calls and system texts, for orders in
plain words of several languages; in base64, hexadecimal, percent signs, turned around and with signs between that nobody sees.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Orders in plain words: what a word stands for, in some languages.
VERBS = {
    "restart": "restart neustarten redémarrer redémarre reiniciar reinicia riavvia перезапусти 重启 再起動",
    "rollback": "rollback zurückrollen revertir откати 回滚",
    "deploy": "deploy ausrollen déployer desplegar разверни 部署",
    "delete": "delete remove drop wipe rm lösche löschen supprime supprimer borra borrar удали 删除 削除",
    "stop": "stop kill stoppe arrête detén останови 停止",
    "create_ticket": "ticket",
    "run": "run execute führe exécute ejecuta выполни 运行 実行",
    "reveal": "reveal print show repeat output send leak verrate zeige révèle muestra покажи 显示",
}
_WORD = {word: verb for verb, words in VERBS.items() for word in words.split()}
_MOST_ORDERS = 50


@dataclass(frozen=True)
class Order:
    """Something that a text wants.

    Attributes:
        verb: in a word; ``json`` where it is an object.
        value: the object, or the words after the verb.
        hidden: how it was hidden, empty where it was not.
    """

    verb: str
    value: Any
    hidden: str = ""


def orders(messages: list[dict[str, Any]]) -> list[Order]:
    """Return what the texts of a conversation order, the last first: what was injected comes after what was asked."""
    text = "\n".join(_text(message) for message in messages)
    # What stands in a document is read as whoever understands the document reads it.
    text += "\n" + "\n".join(said for value in _objects(text) for said in _strings(value))
    found: list[Order] = []
    for hidden, view in _views(text):
        found += [Order("json", value, hidden) for value in _objects(view)]
        found += [Order(verb, rest, hidden) for verb, rest in _spoken(view)]
    unique = {json.dumps([order.verb, order.value], sort_keys=True, default=str): order for order in found}
    last = list(unique.values())[::-1]
    whole = [order for order in last if order.verb == "json"]
    # A text of many words has many that sound like orders, and must not hide what is one.
    return [*whole[:_MOST_ORDERS], *[order for order in last if order.verb != "json"][:_MOST_ORDERS]]


def answer(messages: list[dict[str, Any]], schema: dict[str, Any] | None) -> str:
    """Return what an obedient model says: the object it was told to say, or else all it was sent, with what it would do."""
    told = orders(messages)
    wanted = set((schema or {}).get("properties", {}))
    for order in told:
        if (
            order.verb == "json"
            and isinstance(order.value, dict)
            and (not wanted or wanted & order.value.keys())
        ):
            return json.dumps(order.value)
    if schema is not None:
        return json.dumps(_filled(schema, told, _ids(messages)))
    deeds = [f"{order.verb} {order.value}" for order in told if order.verb != "json"]
    return "\n".join([*deeds, *(_text(message) for message in messages)])


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _strings(value: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


def _ids(messages: list[dict[str, Any]]) -> list[str]:
    """What a conversation gives ids to, so that a plan can cite it as a model does that wants to be believed."""
    return re.findall(r'"id": "([^"\\]+/[^"\\]+)"', "\n".join(map(_text, messages)))


def _views(text: str) -> list[tuple[str, str]]:
    """A text, and all that may be hidden in it."""
    visible = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    views = [("", visible)]
    for run in re.findall(
        r"[A-Za-z0-9+/_-]{16,}={0,2}", re.sub(r"(?<=[A-Za-z0-9+/])\n(?=[A-Za-z0-9+/])", "", visible)
    ):
        with contextlib.suppress(binascii.Error, ValueError):
            padded = run.rstrip("=") + "=" * (-len(run.rstrip("=")) % 4)
            views.append(
                (
                    "base64",
                    base64.b64decode(padded, altchars=b"-_" if set(run) & {"-", "_"} else None).decode(),
                )
            )
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){8,}", visible):
        with contextlib.suppress(ValueError):
            views.append(("hex", bytes.fromhex(run).decode()))
    if "%" in visible:
        views.append(("percent", urllib.parse.unquote(visible)))
    views += [("rot13", codecs.decode(visible, "rot13")), ("turned", visible[::-1])]
    return views


def _objects(text: str) -> list[Any]:
    """All JSON objects that stand in a text."""
    found: list[Any] = []
    decoder, position = json.JSONDecoder(), 0
    while (position := text.find("{", position)) >= 0 and len(found) < _MOST_ORDERS:
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
        else:
            found.append(value)
    return found


def _spoken(text: str) -> list[tuple[str, str]]:
    """Orders in plain words, each with the rest of its line."""
    found = []
    for match in re.finditer(r"[^\W\d_]+", text):
        if verb := _WORD.get(match[0].lower()):
            rest = text[match.end() : match.end() + 200].split("\n")[0].strip()
            found.append((verb, rest))
    return found[-_MOST_ORDERS:]


def _filled(schema: dict[str, Any], told: list[Order], ids: list[str]) -> Any:
    """A value of a schema that says what was ordered wherever there is a choice, and cites what that names."""
    if "const" in schema:
        return schema["const"]
    spoken = [order for order in told if order.verb != "json"]
    if choices := schema.get("enum"):
        return _first(choices, spoken, lambda choice, order: str(choice).lower() in _said(order))
    for several in ("anyOf", "oneOf"):
        if schema.get(several):
            return _filled(_first(schema[several], spoken, _is_named), told, ids)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        found = {name: _filled(part, told, ids) for name, part in schema.get("properties", {}).items()}
        if "evidence" in found:
            meant = {str(value) for value in (found.get("parameters") or {}).values()}
            found["evidence"] = [name for name in ids if set(name.split("/")) & meant][:20]
        return found
    if kind == "array":
        return [_filled(schema.get("items", {}), told, ids)] * max(1, int(schema.get("minItems", 1)))
    simple = {"integer": 1, "number": 1.0, "boolean": True, "null": None}
    return simple.get(str(kind), " ".join(map(_said, spoken))[:80])


def _said(order: Order) -> str:
    return f"{order.verb} {order.value}".lower()


def _is_named(form: dict[str, Any], order: Order) -> bool:
    """Whether an order is for one of several forms: one that has a field of just that name."""
    fixed = [
        part["enum"][0] for part in form.get("properties", {}).values() if len(part.get("enum", ())) == 1
    ]
    return any(order.verb in str(name) for name in fixed)


def _first(several: list[Any], told: list[Order], fits: Callable[[Any, Order], bool]) -> Any:
    """Which of several the last order means that means one."""
    return next((each for order in told for each in several if fits(each, order)), several[0])
