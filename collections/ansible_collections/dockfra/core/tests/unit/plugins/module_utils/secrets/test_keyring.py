# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets, keys and certificates: made once, kept private, and told apart from damaged ones."""

from __future__ import annotations

import datetime
import os
import re
import signal
import ssl
import stat
import subprocess
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ansible_collections.dockfra.core.plugins.module_utils.errors import KeyringError
from ansible_collections.dockfra.core.plugins.module_utils.secrets import certificates
from ansible_collections.dockfra.core.plugins.module_utils.secrets import keyring as library
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.tests.unit.support import (
    is_root,
    open_to_all,
    python_command,
    run_python,
)

NAMES = ["localhost", "127.0.0.1", "::1"]


def at(monkeypatch: pytest.MonkeyPatch, **ahead: float) -> None:
    """Move the library's clock."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.now(tz) + datetime.timedelta(**ahead)

    module = types.SimpleNamespace(datetime=Clock, timedelta=datetime.timedelta, UTC=datetime.UTC)
    monkeypatch.setattr(certificates, "datetime", module)


def certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


# Passwords -----------------------------------------------------------------------------------------------------------


def test_a_password_is_long_random_and_the_same_next_time(tmp_path: Path) -> None:
    one = Keyring(tmp_path / "state").password("db/backend")
    assert re.fullmatch(r"[A-Za-z0-9]{48}", one)
    assert Keyring(tmp_path / "state").password("db/backend") == one
    assert Keyring(tmp_path / "state").password("db/mobile") != one
    assert (tmp_path / "state/secrets/db/backend").read_text() == one + "\n"


def test_a_password_of_the_persons_own_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/mine").write_text("correct horse\n")
    assert Keyring(tmp_path).password("mine") == "correct horse"


@pytest.mark.parametrize("left", ["", "\n", "  \n"])
def test_an_empty_file_is_no_password(tmp_path: Path, left: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/a").write_text(left)
    made = Keyring(tmp_path).password("a")
    assert len(made) == 48
    assert Keyring(tmp_path).password("a") == made


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        ring = Keyring(tmp_path / "new/state")
        ring.password("db/backend")
        ring.ssh_public_key("keys/manager")
        ring.ssh_public_key("host_keys/db")
        ring.server_certificate("server", NAMES)
    finally:
        os.umask(before)
    for path in [tmp_path / "new/state", *(tmp_path / "new/state").rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "/etc/passwd",
        "a//b",
        "a/",
        "a\0b",
        "a b",
        "A",
        "ä",
        "a\n",
        "a\\b",
        ".x",
        "-x",
    ],
)
def test_a_name_cannot_leave_its_directory(tmp_path: Path, name: str) -> None:
    ring = Keyring(tmp_path / "state")
    for ask in (
        ring.password,
        ring.server_key,
        lambda text: ring.ssh_private_key(f"keys/{text}"),
        lambda text: ring.server_certificate(text, NAMES),
    ):
        with pytest.raises(KeyringError, match="cannot name"):
            ask(name)
    assert not (tmp_path / "state/secrets").exists()
    assert not (tmp_path / "state/keys").exists()


@pytest.mark.parametrize("name", ["keys", "keys/", "keys/a/b", "secrets/a", "tls/ca", "other/a", "a"])
def test_an_ssh_key_has_one_of_two_kinds(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyringError, match="cannot name"):
        Keyring(tmp_path).ssh_private_key(name)
    assert not list(tmp_path.iterdir())


def test_the_authoritys_key_is_no_server_key(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    ring.ca_certificate()
    with pytest.raises(KeyringError, match="authority's own name"):
        ring.server_key("ca")
    with pytest.raises(KeyringError, match="authority's own name"):
        ring.server_certificate("ca", NAMES)


def test_a_secret_cannot_be_a_directory_of_secrets_too(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    ring.password("db")
    with pytest.raises(KeyringError, match=r"secrets/db/backend cannot be (read|written)"):
        ring.password("db/backend")


# Dry runs ------------------------------------------------------------------------------------------------------------


def test_a_dry_run_keeps_nothing_and_agrees_with_itself(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "state", persist=False)
    assert ring.password("a") == ring.password("a")
    assert ring.ssh_private_key("keys/a") == ring.ssh_private_key("keys/a")
    public = ring.ssh_public_key("keys/a")
    private = serialization.load_ssh_private_key(ring.ssh_private_key("keys/a").encode(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    line = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    assert public.startswith(line.decode())
    certificate(ring.server_certificate("server", NAMES)).verify_directly_issued_by(
        certificate(ring.ca_certificate())
    )
    assert not (tmp_path / "state").exists()


def test_a_dry_run_uses_what_is_there_and_leaves_it(tmp_path: Path) -> None:
    kept = Keyring(tmp_path).password("a")
    (tmp_path / "secrets/empty").touch()
    ring = Keyring(tmp_path, persist=False)
    assert ring.password("a") == kept
    assert ring.password("empty")
    assert (tmp_path / "secrets/empty").read_text() == ""
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == ["a", "empty"]


# SSH keys ------------------------------------------------------------------------------------------------------------


def test_ssh_keys_are_what_openssh_reads(tmp_path: Path) -> None:
    ring = Keyring(tmp_path, comment="unit")
    public = ring.ssh_public_key("keys/manager")
    assert re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=]+ unit-manager", public)
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(tmp_path / "keys/manager/id_ed25519")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert derived.stdout.split()[1] == public.split()[1]
    assert (tmp_path / "keys/manager/id_ed25519.pub").read_text() == public + "\n"
    assert ring.ssh_public_key("host_keys/db").split()[1] != public.split()[1]
    assert (tmp_path / "host_keys/db/ssh_host_ed25519_key").exists()


def test_a_public_key_of_another_private_key_is_corrected(tmp_path: Path) -> None:
    right = Keyring(tmp_path).ssh_public_key("keys/a")
    path = tmp_path / "keys/a/id_ed25519.pub"
    path.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther somebody\n")
    assert Keyring(tmp_path).ssh_public_key("keys/a") == right
    assert path.read_text() == right + "\n"


def test_a_comment_of_the_persons_own_stays(tmp_path: Path) -> None:
    line = Keyring(tmp_path).ssh_public_key("keys/a").rsplit(" ", 1)[0] + " me@laptop"
    (tmp_path / "keys/a/id_ed25519.pub").write_text(line + "\n")
    assert Keyring(tmp_path).ssh_public_key("keys/a") == line


# Certificates --------------------------------------------------------------------------------------------------------


def test_the_certificate_is_good_for_its_names_in_a_real_handshake(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    pem, key, authority = (
        ring.server_certificate("server", NAMES),
        ring.server_key("server"),
        ring.ca_certificate(),
    )
    (tmp_path / "chain.pem").write_text(pem + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "chain.pem")
    strict = ssl.create_default_context(cadata=authority)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    for name, good in [("localhost", True), ("127.0.0.1", True), ("::1", True), ("example.org", False)]:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [
            strict.wrap_bio(incoming, outgoing, server_hostname=name),
            server.wrap_bio(outgoing, incoming, True),
        ]
        if good:
            _shake(ends)
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                _shake(ends)


def _shake(ends: list[ssl.SSLObject]) -> None:
    waiting = list(ends)
    for _turn in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not waiting


def test_a_certificate_lives_no_longer_than_browsers_allow(tmp_path: Path) -> None:
    made = certificate(Keyring(tmp_path).server_certificate("server", NAMES))
    assert made.not_valid_after_utc - made.not_valid_before_utc <= datetime.timedelta(days=398)


@pytest.mark.parametrize(("days_left", "renewed"), [(31, False), (29, True), (-3, True)])
def test_a_certificate_is_renewed_thirty_days_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days_left: int, renewed: bool
) -> None:
    first, authority = (
        Keyring(tmp_path).server_certificate("server", NAMES),
        Keyring(tmp_path).ca_certificate(),
    )
    at(monkeypatch, days=certificates.SERVER_DAYS - days_left)
    second = Keyring(tmp_path).server_certificate("server", NAMES)
    assert (second != first) == renewed
    assert Keyring(tmp_path).ca_certificate() == authority
    assert Keyring(tmp_path).server_certificate("server", NAMES) == second
    assert (tmp_path / "tls/server.crt").read_text() == second


@pytest.mark.parametrize("names", [["localhost"], ["example.org", *NAMES], NAMES[::-1]])
def test_a_certificate_is_renewed_when_its_names_change(tmp_path: Path, names: list[str]) -> None:
    first = Keyring(tmp_path).server_certificate("server", NAMES)
    key = Keyring(tmp_path).server_key("server")
    second = Keyring(tmp_path).server_certificate("server", names)
    assert second != first
    assert Keyring(tmp_path).server_certificate("server", names) == second
    assert Keyring(tmp_path).server_key("server") == key


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt", "server.key", "server.crt"])
def test_a_lost_file_is_made_anew_and_all_fit_together_and_stay(tmp_path: Path, lost: str) -> None:
    Keyring(tmp_path).server_certificate("server", NAMES)
    (tmp_path / "tls" / lost).unlink()
    ring = Keyring(tmp_path)
    made, authority = (
        certificate(ring.server_certificate("server", NAMES)),
        certificate(ring.ca_certificate()),
    )
    made.verify_directly_issued_by(authority)
    key = serialization.load_pem_private_key(ring.server_key("server").encode(), None)
    assert made.public_key() == key.public_key()
    again = Keyring(tmp_path)
    assert certificate(again.server_certificate("server", NAMES)) == made
    assert certificate(again.ca_certificate()) == authority


def test_an_authority_that_ends_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Keyring(tmp_path).ca_certificate()
    at(monkeypatch, days=certificates.CA_DAYS - 10)
    assert Keyring(tmp_path).ca_certificate() != first


@pytest.mark.parametrize(
    "names", [[], ["not a name"], ["münchen.example"], [""], ["a..b"], ["-a"], ["x" * 64 + ".org"]]
)
def test_names_no_certificate_can_have_are_told(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(KeyringError, match="dockfra_hostnames") as caught:
        Keyring(tmp_path).server_certificate("server", names)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tls/server.crt").exists()


def test_a_long_name_and_a_wildcard_are_fine(tmp_path: Path) -> None:
    names = [".".join(["x" * 40] * 3) + ".example", "*.example.org"]
    made = certificate(Keyring(tmp_path).server_certificate("server", names))
    found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == names


# Damage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"\xff\xfe\x00garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
@pytest.mark.parametrize(
    ("file", "ask"),
    [
        ("keys/a/id_ed25519", lambda ring: ring.ssh_private_key("keys/a")),
        ("keys/a/id_ed25519", lambda ring: ring.ssh_public_key("keys/a")),
        ("tls/ca.key", lambda ring: ring.ca_certificate()),
        ("tls/ca.crt", lambda ring: ring.ca_certificate()),
        ("tls/server.key", lambda ring: ring.server_key("server")),
        ("tls/server.key", lambda ring: ring.server_certificate("server", NAMES)),
        ("tls/ca.key", lambda ring: ring.server_certificate("server", NAMES)),
        ("tls/server.crt", lambda ring: ring.server_certificate("server", NAMES)),
    ],
)
def test_a_damaged_file_is_named_and_kept(
    tmp_path: Path, file: str, ask: Callable[[Keyring], str], content: bytes
) -> None:
    ring = Keyring(tmp_path)
    ring.ssh_public_key("keys/a")
    ring.server_certificate("server", NAMES)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(KeyringError, match=re.escape(f"{tmp_path / file} is damaged (")) as caught:
        ask(Keyring(tmp_path))
    assert str(caught.value).endswith("Remove it to have a new one made.")
    assert (tmp_path / file).read_bytes() == content
    # And that advice works.
    (tmp_path / file).unlink()
    assert ask(Keyring(tmp_path)) == ask(Keyring(tmp_path))


def test_a_key_with_a_passphrase_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys/a").mkdir(parents=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", str(tmp_path / "keys/a/id_ed25519")]
    subprocess.run(command, check=True)
    with pytest.raises(KeyringError, match="password"):
        Keyring(tmp_path).ssh_private_key("keys/a")


def test_binary_rubbish_is_no_password(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/a").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyringError, match="is damaged"):
        Keyring(tmp_path).password("a")


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(KeyringError, match="cannot be written"):
        Keyring(tmp_path / "state").password("a")


@is_root
@pytest.mark.parametrize(("folder", "mode"), [("secrets", 0o000), ("secrets", 0o500), (".", 0o000)])
def test_a_directory_of_somebody_elses(tmp_path: Path, folder: str, mode: int) -> None:
    Keyring(tmp_path / "state").password("kept")
    (tmp_path / "state" / folder).chmod(mode)
    open_to_all(tmp_path)
    code = """
        from ansible_collections.dockfra.core.plugins.module_utils.errors import KeyringError
        from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
        become(12345)
        for name in ("kept", "new"):
            try:
                print(Keyring(sys.argv[1]).password(name))
            except KeyringError as error:
                print(error)
        """
    said = run_python(code, str(tmp_path / "state")).splitlines()
    assert len(said) == 2
    assert all("Permission denied" in line and "Check" in line and str(tmp_path) in line for line in said), (
        said
    )


def test_without_the_library_the_message_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "CRYPTOGRAPHY_ERROR", ImportError("No module named 'cryptography'"))
    with pytest.raises(KeyringError, match=r"'cryptography' is missing .* run \./init\.sh again"):
        Keyring(tmp_path).password("a")


# Several at once -----------------------------------------------------------------------------------------------------


def test_processes_that_make_the_same_agree(tmp_path: Path) -> None:
    code = """
        import multiprocessing
        from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
        context = multiprocessing.get_context("fork")
        def ask(state, barrier, answers):
            ring = Keyring(state)
            barrier.wait()
            made = ring.password("shared/one"), ring.ssh_public_key("keys/shared"), ring.ca_certificate()
            answers.put((*made, ring.server_certificate("server", ["localhost"])))
        for attempt in range(8):
            state = f"{sys.argv[1]}/{attempt}"
            barrier, answers = context.Barrier(4), context.Queue()
            makers = [context.Process(target=ask, args=(state, barrier, answers)) for _number in range(4)]
            for maker in makers:
                maker.start()
            said = {answers.get(timeout=30) for _maker in makers}
            for maker in makers:
                maker.join()
            print(len(said), Keyring(state).password("shared/one") == said.pop()[0])
        """
    assert run_python(code, str(tmp_path)).splitlines() == ["1 True"] * 8


def test_the_first_of_two_makers_wins_even_in_the_worst_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one makes it between our look and our write."""
    make = library.new_password

    def slower() -> str:
        monkeypatch.setattr(library, "new_password", make)
        Keyring(tmp_path).password("a")
        return make()

    monkeypatch.setattr(library, "new_password", slower)
    assert Keyring(tmp_path).password("a") == (tmp_path / "secrets/a").read_text().strip()


@pytest.mark.parametrize("step", ["os.fsync", "os.link"])
def test_one_killed_while_it_writes_leaves_no_half_secret(tmp_path: Path, step: str) -> None:
    code = f"""
        import os, time
        from ansible_collections.dockfra.core.plugins.module_utils.secrets import keyring
        def hang(*arguments, **options):
            print("there", flush=True)
            time.sleep(60)
        {step} = hang
        keyring.Keyring(sys.argv[1]).password("a")
        """
    with subprocess.Popen(python_command(code, str(tmp_path / "state")), stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"there\n"
        maker.send_signal(signal.SIGKILL)
    assert not (tmp_path / "state/secrets/a").exists()
    made = Keyring(tmp_path / "state").password("a")
    assert len(made) == 48
    assert Keyring(tmp_path / "state").password("a") == made


def test_a_renewal_is_never_seen_half_done(tmp_path: Path) -> None:
    Keyring(tmp_path).server_certificate("server", NAMES)
    stop, broken, looks = threading.Event(), [], [0]

    def look() -> None:
        while not stop.is_set():
            text = (tmp_path / "tls/server.crt").read_text()
            looks[0] += 1
            if not text.endswith("-----END CERTIFICATE-----\n"):
                broken.append(text)

    reader = threading.Thread(target=look)
    reader.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        for names in (["localhost"], NAMES):
            Keyring(tmp_path).server_certificate("server", names)
    stop.set()
    reader.join()
    assert not broken
    assert looks[0] > 10
