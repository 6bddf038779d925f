#!/usr/bin/env python3
"""Prints the password of the scenario's vault, which is made where there is none; Ansible asks for it (--vault-id production@…)."""

import secrets
from pathlib import Path

# Not with the platform's state, which a restore replaces.
FILE = Path(__file__).parents[2] / ".dockfra/molecule-servers/vault_password"

if __name__ == "__main__":
    FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not FILE.exists():
        FILE.touch(mode=0o600)
        FILE.write_text(f"{secrets.token_urlsafe(32)}\n", encoding="ascii")
    print(FILE.read_text(encoding="ascii"), end="")
