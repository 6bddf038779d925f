# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
import re
import string
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMRequestError
from ansible_collections.dockfra.core.plugins.module_utils.llm.redaction import (
    HIDDEN,
    MAX_SECRETS,
    MAX_TEXT,
    Redactor,
)

CANARY = "Zq7xK2mWv9Lp4TnB8cRy5HgD3sFj6AeU1oIkXwNzMtGhPbVd"
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt\n"
    "QyNTUxOQAAACDh\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)

# Letters and digits alone, as the platform makes them, and what people choose.
made = st.text(string.ascii_letters + string.digits, min_size=16, max_size=64)
chosen = st.text(
    string.ascii_letters + string.digits + "!$%&/()=?+*#-_.,;:<>|@^~ 'äß€\\\"", min_size=6, max_size=40
).filter(lambda text: len(text.strip()) >= 6 and "://" not in text and len(re.sub(r"\s", "", text)) >= 6)
# What may stand around it: nothing that would be a part of it once signs are taken out.
prose = st.text("\u00e9\u00fc .,\n", max_size=30)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 twice of more": lambda text: base64.b64encode(
        b"a" + base64.b64encode(f"it is {text}.".encode()) + b" b"
    ).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes((text * 3).encode()).decode(),
    "base64 of more": lambda text: base64.b64encode(f"login {text} and more".encode()).decode(),
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "all percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "hex": lambda text: text.encode().hex().upper(),
    "json": json.dumps,
    "json of json": lambda text: json.dumps(json.dumps({"password": text})),
    "escapes": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
}
SPLITS = {
    "line": "\n",
    "quoted": "\n> ",
    "table": " |\n| ",
    "indented": "\n\t\t",
    "continued": "\\\n",
    "added": '" +\n    "',
    "numbered": "\n   102  ",
    "logged": "\n   102  2027-01-15T08:00:01.123456789Z ",
    "logged apart": "\n2027-01-15 08:00:01,123 ",
    "logged in JSON": "\\n103: 2027-01-15T08:00:01+01:00 ",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=made, before=prose, after=prose)
def test_a_known_secret_never_leaves_however_it_is_encoded(
    encoding: str, secret: str, before: str, after: str
) -> None:
    found = Redactor([secret]).redact(f"{before} {ENCODINGS[encoding](secret)} {after}")
    assert found.count >= 1
    assert_gone(found.text, secret, before, after)


@pytest.mark.parametrize("encoding", ["raw", "percent", "json", "all percent"])
@given(secret=chosen)
def test_neither_does_one_that_somebody_chose(encoding: str, secret: str) -> None:
    found = Redactor([secret]).redact(f"it is {ENCODINGS[encoding](secret)} .")
    assert HIDDEN in found.text
    assert secret.strip() not in found.text


@pytest.mark.parametrize("split", SPLITS)
@given(secret=made, width=st.integers(1, 40), encoded=st.booleans())
def test_nor_one_that_is_split_over_lines(split: str, secret: str, width: int, encoded: bool) -> None:
    whole = ENCODINGS["base64"](secret) if encoded else secret
    text = SPLITS[split].join(whole[at : at + width] for at in range(0, len(whole), width))
    found = Redactor([secret]).redact(f"({text})")
    assert found.count >= 1
    assert_gone(found.text, secret, "", "")


@given(secret=made.filter(lambda text: len(text) >= 24), begin=st.integers(0, 8))
def test_nor_a_large_part_of_one(secret: str, begin: int) -> None:
    part = secret[begin : begin + 16]
    assert Redactor([secret]).redact(f"… {part}").text == f"… {HIDDEN}"


@given(st.lists(made, max_size=5), st.text(max_size=300))
def test_what_holds_no_secret_stays_as_it_is(secrets: list[str], text: str) -> None:
    text = re.sub("[A-Za-z0-9$%&\\\\:]", "", text)
    assert Redactor(secrets).redact(text).text == text


@given(made, st.text(max_size=100), st.text(max_size=100))
def test_doing_it_twice_changes_nothing_more(secret: str, before: str, after: str) -> None:
    once = Redactor([secret]).redact(before + secret + after).text
    assert Redactor([secret]).redact(once).text == once


@pytest.mark.parametrize(
    "text",
    [
        "Restart backend, it answers 502 since 10:15.",
        "def token(request): return request.headers['Authorization']",
        "token = get_token(user)\npassword = os.environ['PASSWORD']\nAPI_KEY=${OTHER}",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b, sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        "https://github.com/dockfra/dockfra/issues/9?state=open#top and git@github.com:dockfra/dockfra.git",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "the basic idea; a bearer of news",
        "API_KEY: string\nTOKEN: ${TOKEN1}\nPASSWORD: {{ db_password1 }}",
        "token = tokens[0]; password = form.data1.get('x'); secret = secret2(user)",
        "def login(user: str, password: str = '') -> Token: return self.token == other.token1",
        'fetch(url, {credentials: "same-origin"}); token_type="bearer"; {"token": "string", "password": "password"}',
        'password="$PASSWORD1" token="${TOKEN2}" secret="%(secret3)s"',
        "The authorization: the server refuses whoever has none. Authorization: token required",
        "https://example.com/search?q=token1&key={key1}&page=2#token=",
        "if (a &&key==b) ask(token, 'password: none'); the token: it has 3 parts",
    ],
)
def test_ordinary_text_and_code_are_left_alone(text: str) -> None:
    assert Redactor([CANARY]).redact(text).text == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a\n{KEY}b", f"a\n{HIDDEN}\nb"),
        (json.dumps({"key": KEY}), f'{{"key": "{HIDDEN}\\n"}}'),
        (KEY.partition("-----END")[0] + "then prose (here)", None),
        ("sk-or-v1-0123456789abcdef0123456789abcdef", HIDDEN),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345 x", f"{HIDDEN} x"),
        ("github_pat_11ABCDEFG0123456789_abcdefghij", HIDDEN),
        ("Authorization: Bearer abc.def-ghi_jkl", f"Authorization: Bearer {HIDDEN}"),
        ("postgres://app:s3cr@t@db:5432/app", f"postgres://app:{HIDDEN}@db:5432/app"),
        ("redis://:hunter2@redis:6379", f"redis://:{HIDDEN}@redis:6379"),
        ("AKIAIOSFODNN7EXAMPLE", HIDDEN),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", HIDDEN),
        ("DB_PASSWORD=correct-horse\nNEXT=1", f"DB_PASSWORD={HIDDEN}\nNEXT=1"),
        ("  POSTGRES_PASSWORD: correct-h0rse\n  A: 1", f"  POSTGRES_PASSWORD: {HIDDEN}\n  A: 1"),
        ('{"API_TOKEN": "abc123xyz", "b": 1}', f'{{"API_TOKEN": "{HIDDEN}", "b": 1}}'),
        ("root:$6$rounds=5000$abcdefgh$0123456789abcdefghijklmnop:19000", f"root:{HIDDEN}:19000"),
        ("password=Zq8Lm2Xv7Rt4Kp", f"password={HIDDEN}"),
        (
            '{"user":"app","password":"Zq8Lm2Xv7Rt4Kp"}',
            f'{{"user":"app","password":"{HIDDEN}"}}',
        ),
        (
            json.dumps(json.dumps({"dbPassword": "correct-horse", "b": 1})),
            json.dumps(json.dumps({"dbPassword": HIDDEN, "b": 1})),
        ),
        ("  password: Zq8Lm2Xv7Rt4Kp\n  a: 1", f"  password: {HIDDEN}\n  a: 1"),
        ("api_key=Zq8Lm2Xv7Rt4Kp, next", f"api_key={HIDDEN}, next"),
        ("const apiKey = 'correct-horse';", f"const apiKey = '{HIDDEN}';"),
        ("$secret => 'p(a)ss$w0rd',", f"$secret => '{HIDDEN}',"),
        ("GET https://x/?token=Zq8Lm2Xv7Rt4Kp&page=2", f"GET https://x/?token={HIDDEN}&page=2"),
        ("/login?a=1&api_key=correcthorse HTTP/1.1", f"/login?a=1&api_key={HIDDEN} HTTP/1.1"),
        ("Authorization: token Zq8Lm2Xv7Rt4Kp", f"Authorization: token {HIDDEN}"),
        ("'authorization': 'Zq8Lm2Xv7Rt4Kp'", f"'authorization': '{HIDDEN}'"),
        ("X-Auth-Token: Zq8Lm2Xv7Rt4Kp", f"X-Auth-Token: {HIDDEN}"),
        ("https://hooks.slack.com/services/T000/B000/XXXXXXXX", f"https://hooks.slack.com/services/{HIDDEN}"),
    ],
)
def test_well_known_forms_are_taken_out(text: str, left: str | None) -> None:
    found = Redactor().redact(text).text
    assert (
        found == left
        if left is not None
        else (HIDDEN in found and "b3Blbn" not in found and "(here)" in found)
    )


@pytest.mark.parametrize("sign", ["     {} +", "     {}  ", "> ", "+", "{}: ", "{}|"])
def test_a_key_that_is_quoted_and_cut_is_one(sign: str) -> None:
    """A difference shows the beginning of a key, and not its end."""
    lines = KEY.splitlines()[:-1]
    text = "\n".join(sign.format(number) + line for number, line in enumerate(lines, 1))
    found = Redactor().redact(f"{text}\n{sign.format(9)}the next (here)").text
    assert not [line for line in lines if line in found]
    assert "next (here)" in found


def test_of_an_address_only_what_makes_it_a_secret_is_hidden() -> None:
    redactor = Redactor(["https://hooks.example.com/services/T0/B0abcdef0123456789"])
    assert redactor.redact("see https://hooks.example.com/docs").count == 0
    assert (
        "B0abcdef"
        not in redactor.redact("POST https://hooks.example.com/services/T0/B0abcdef0123456789").text
    )


def test_a_key_is_known_by_each_of_its_lines() -> None:
    assert "Ahd3c" not in Redactor([KEY]).redact("line AAAAAAABAAAAMwAAAAtzc2gt and more").text
    assert (
        Redactor([KEY])
        .redact("-----BEGIN OPENSSH PRIVATE KEY----- is how one begins")
        .text.endswith("one begins")
    )


def test_what_is_too_much_to_be_looked_through_is_refused() -> None:
    with pytest.raises(LLMRequestError, match="send less"):
        Redactor().redact("x" * (MAX_TEXT + 1))
    with pytest.raises(LLMRequestError, match="more secrets than"):
        Redactor(f"secret-number-{number}" for number in range(MAX_SECRETS + 1))


@pytest.mark.parametrize(
    "piece",
    [
        "sk-",
        "eyJ.",
        "a://",
        "a://b:c",
        "a://b:" + "c" * 50,
        "-----BEGIN PRIVATE KEY-----",
        "%41",
        "A_",
        "bearer ",
        "$6$",
        CANARY[:17] + "-",
        "{",
        "PASSWORD_",
        "\\u0041",
        " \n",
        "\n102  2027-01-15T08:00:01Z ",
        "token=",
        "password: ",
        "api_key='a",
        "&key=a",
        "authorization: a ",
    ],
)
@pytest.mark.slow
def test_the_time_grows_no_faster_than_the_text(piece: str) -> None:
    redactor = Redactor([CANARY, *(f"{CANARY[number:]}{CANARY[:number]}{number}" for number in range(40))])

    def seconds(size: int) -> float:
        text, begun = piece * (size // len(piece)), time.process_time()
        redactor.redact(text)
        return time.process_time() - begun

    small = min(seconds(MAX_TEXT // 16) for _try in range(2))
    assert seconds(MAX_TEXT // 2) < 0.5 + 8 * 2.5 * small


def assert_gone(text: str, secret: str, before: str, after: str) -> None:
    """Nothing of a secret is left that a reader could use: no eight of its signs in a row, in any encoding."""
    left = text.replace(HIDDEN, "\0")
    plain = urllib.parse.unquote(re.sub(r"[^A-Za-z0-9%\0]", "", left))
    assert not any(secret[at : at + 8] in plain for at in range(len(secret) - 7))
    for run in re.findall(r"(?:[A-Za-z0-9+/]{4})+", left):
        decoded = base64.b64decode(run)
        assert not any(secret[at : at + 6].encode() in decoded for at in range(len(secret) - 5))
