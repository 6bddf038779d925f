"""What has to be known of a server."""

from __future__ import annotations

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.topology.reached import (
    address_problem,
    host_key_problem,
)

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt"
OTHER = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY"


@pytest.mark.parametrize("line", [f"ssh-ed25519 {KEY}", f"ssh-ed25519 {KEY} root@app-server"])
def test_a_host_key_that_the_link_takes_is_none_to_speak_of(line: str) -> None:
    assert host_key_problem(line) == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "it is a public key of the type ssh-ed25519"),
        (KEY, "it is a public key of the type ssh-ed25519"),
        (f"192.0.2.1 ssh-ed25519 {KEY}", "a whole line of ssh-keyscan, and 192.0.2.1 is the address in it"),
        (f"[192.0.2.1]:2022 ssh-ed25519 {KEY}", "[192.0.2.1]:2022 is the address"),
        (f"ecdsa-sha2-nistp256 {OTHER}", "this one is of the type ecdsa-sha2-nistp256"),
        ("ssh-ed25519", "no such key"),
        (f"ssh-ed25519 {KEY[:-4]}", "not all of it"),
        (f"ssh-ed25519 {KEY[:-1]}", "not all of it"),
        (f"ssh-ed25519 {OTHER}", "no such key"),
        ("ssh-ed25519 SHA256:abc", "no such key"),
    ],
)
def test_one_that_it_never_takes_is_told(line: str, told: str) -> None:
    assert told in host_key_problem(line)


@pytest.mark.parametrize("address", ["192.0.2.1", "app-server", "app.example.org", "app_1.example.org"])
def test_an_address_of_ipv4_or_a_name_may_lead_there(address: str) -> None:
    assert address_problem(address) == ""


@pytest.mark.parametrize("address", ["2001:db8::1", "[2001:db8::1]", "fe80::1%eth0", "::1"])
def test_one_of_ipv6_leads_nowhere(address: str) -> None:
    assert "have no IPv6" in address_problem(address)


def test_what_is_no_address_at_all_is_told() -> None:
    assert address_problem("admin@192.0.2.1") == "it is a name or an IPv4 address"
