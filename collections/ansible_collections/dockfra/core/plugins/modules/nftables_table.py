#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: nftables_table
short_description: One table of nftables, as a file and in the kernel
description:
  - Keeps the rules of one table in a file and loads them, in one transaction, where the kernel has others. Other tables are left alone.
  - What the kernel should have is what it makes of the file in a network namespace of its own, so that any change by hand is seen.
  - Needs root, and nftables on the host, unless the table is to be empty.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Checks the rules and reports what would change; where nftables is not installed yet, that everything would.
    support: full
  diff_mode:
    description: Shows the rules as nftables lists them.
    support: full
options:
  table:
    description: Family and name of the table, such as V(inet filter).
    type: str
    required: true
  path:
    description: The file, which a service can load again after a start of the host (C(nft -f)).
    type: path
    required: true
  rules:
    description: The table in the words of C(nft); empty removes it, and leaves a file that does so.
    type: str
    default: ""
  comment:
    description: A line at the beginning of the file, or of the part's.
    type: str
    default: ""
  part:
    description:
      - Several that share a table have a part each, a file of this name in a directory beside O(path) (C(.d) in the place of its suffix), which the file
        includes. Whoever leaves O(rules) empty wants no table; it stays as it is as long as another part wants it.
    type: str
    default: ""
  part_rules:
    description: The part, in the words of C(nft), which are loaded after O(rules), such as elements of its sets.
    type: str
    default: ""
  step:
    description:
      - V(bring) loads the rules and writes the file, and ends a trial.
      - V(try) loads the rules and writes nothing, so that whoever is stopped before V(bring) finds all of it still to be done. The rules of before are kept
        beside the file (C(.before)), and where systemd runs, they come back after O(seconds) by itself, unless V(bring) or V(undo) comes before.
      - V(leave) takes the part away, and with the last one that wants it the table and its file.
      - V(undo) brings back the rules of before the trial, those of the file where there was a table.
    type: str
    choices: [bring, try, undo, leave]
    default: bring
  seconds:
    description: How long a trial lasts that nobody ends.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Let nobody in but by SSH
  dockfra.core.nftables_table:
    table: inet mine
    path: /etc/mine.nft
    rules: |
      table inet mine {
        chain input {
          type filter hook input priority filter; policy drop;
          ct state established,related accept
          iif lo accept
          tcp dport 22 accept
        }
      }
"""

RETURN = r"""
loaded:
  description: Whether the kernel got other rules, or would get them.
  returned: success
  type: bool
wanted:
  description: Whether there is to be a table, for this part or another one.
  returned: success
  type: bool
written:
  description: Whether the file changed, or would.
  returned: success
  type: bool
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# There where systemd is the first process; see sd_booted(3).
_SYSTEMD = Path("/run/systemd/system")

# How the files of parts are called.
_PART = ".nft"

# Begins a part that wants no table.
_UNWANTED = "# This one wants no table.\n"

# Loads a file in a network namespace that ends with it, and shows what became of it; without the table, nothing.
_TRIAL = 'nft -f "$1" && { nft list tables | grep -qxF "table $2" || exit 0; } && nft -s list table $2'


class Table:
    """A table of the host and its file."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._table = module.params["table"]
        self._path = Path(module.params["path"])
        self._before = self._path.with_name(f"{self._path.name}.before")
        self._parts = self._path.with_suffix(".d")
        part = module.params["part"]
        self._part = self._parts / f"{part}{_PART}" if part else None
        self._timer = f"nftables-undo-{re.sub('[^a-z0-9]+', '-', self._table.lower())}"
        self._nft = module.get_bin_path("nft", opt_dirs=["/usr/sbin", "/sbin"])

    def bring(self) -> None:
        """Bring both to what is wanted, and end."""
        module = self._module
        files = self._files()
        written = any(_read(path) != text for path, text in files.items())
        if self._nft is None:
            self._without_nft(written)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=module.tmpdir) as file:
            file.write(self._whole(files[self._path], files.get(self._part) if self._part else None))
            file.flush()
            wanted, found = self._wanted(file.name), self._found()
            loaded = wanted != found
            if not module.check_mode and module.params["step"] == "try":
                if loaded:
                    self._keep(there=bool(found))
                    self._load(file.name)
            elif not module.check_mode:
                if loaded:
                    self._load(file.name)
                if written:
                    self._write()
                self._end_trial()
        module.exit_json(
            changed=written or loaded,
            written=written,
            loaded=loaded,
            wanted=self._is_wanted(),
            diff={
                "before_header": self._table,
                "after_header": self._table,
                "before": found,
                "after": wanted,
            },
        )

    def _without_nft(self, written: bool) -> None:
        """A host that never had nftables has no table to remove; the file says so."""
        module = self._module
        loaded = bool(module.params["rules"].strip())
        if not module.check_mode:
            if loaded:
                module.fail_json(msg="nft is not installed on this host; install the package nftables.")
            if written and module.params["step"] == "bring":
                self._write()
        module.exit_json(changed=written or loaded, written=written, loaded=loaded, wanted=loaded)

    def undo(self) -> None:
        """Bring back the rules of before a trial, and end."""
        there = self._before.is_file()
        if there and not self._module.check_mode:
            self._load(str(self._before))
            self._end_trial()
        self._module.exit_json(changed=there, loaded=there, written=False, wanted=self._is_wanted())

    def leave(self) -> None:
        """Take the part away, and with the last one that wants it the table, and end."""
        if self._part is None:
            self._module.fail_json(msg="Only a part can be taken away; say which with part.")
            return
        there, wanted = _read(self._part) is not None, self._others_want()
        if there and not self._module.check_mode:
            main = _read(self._path)
            stays = main is not None and wanted
            if self._nft is not None:
                with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._module.tmpdir) as file:
                    file.write(self._whole(main, None) if main and stays else self._transaction(""))
                    file.flush()
                    self._load(file.name)
            # What is loaded first is not left half done: the part is there until all of it is.
            if not stays:
                self._path.unlink(missing_ok=True)
            self._part.unlink()
        self._module.exit_json(changed=there, loaded=there, written=there, wanted=wanted)

    def _others(self) -> dict[Path, str]:
        """The parts of others."""
        found = {path: _read(path) for path in sorted(self._parts.glob(f"*{_PART}")) if path != self._part}
        return {path: text for path, text in found.items() if text is not None}

    def _is_wanted(self) -> bool:
        return bool(self._module.params["rules"].strip()) or self._others_want()

    def _others_want(self) -> bool:
        return any(not text.startswith(_UNWANTED) for text in self._others().values())

    def _files(self) -> dict[Path, str]:
        """What is to be written, by its place."""
        rules, comment = self._module.params["rules"].strip("\n"), self._comment()
        if self._part is None:
            return {self._path: comment + self._transaction(rules)}
        part = ("" if rules else _UNWANTED) + comment + self._module.params["part_rules"].strip("\n") + "\n"
        main = self._transaction(f"{rules}\n{self._include()}" if rules else "")
        if not rules and self._others_want():
            main = _read(self._path) or main
        # Without its own part the file would lack what lets people in.
        return {self._part: part, self._path: main}

    def _include(self) -> str:
        return f'include "{self._parts}/*{_PART}"'

    def _whole(self, main: str, part: str | None) -> str:
        """The file with all parts in it, also with those that are not written yet."""
        parts = "\n".join([*self._others().values(), *([part] if part else [])])
        return main.replace(self._include(), parts)

    def _comment(self) -> str:
        return "".join(f"# {line}\n" for line in self._module.params["comment"].splitlines())

    def _keep(self, *, there: bool) -> None:
        """Keep the rules of before, and have systemd bring them back unless somebody says that it need not."""
        # Of several trials that nobody ended, only the first one began with rules that were proved. They are taken as they
        # were written, since nft does not read again all that it lists.
        if not self._before.is_file():
            self._replace(self._before, (_read(self._path) if there else None) or self._transaction(""))
        run = self._module.get_bin_path("systemd-run")
        if run is None or not _SYSTEMD.is_dir():
            return
        self._stop_timer()
        seconds = self._module.params["seconds"]
        how = [
            f"--unit={self._timer}",
            f"--on-active={seconds}",
            "--timer-property=AccuracySec=1s",
            "--collect",
        ]
        code, _out, error = self._module.run_command([run, *how, str(self._nft), "-f", str(self._before)])
        if code:
            self._module.fail_json(
                msg=f"systemd takes no timer that would bring back the rules of before: {error.strip()[:2000]}\nNothing was changed."
            )

    def _end_trial(self) -> None:
        self._stop_timer()
        with contextlib.suppress(FileNotFoundError):
            self._before.unlink()

    def _stop_timer(self) -> None:
        """Stop it, and the service in case it is just starting; there is none where no trial is underway."""
        control = self._module.get_bin_path("systemctl")
        if control is not None and _SYSTEMD.is_dir():
            self._module.run_command([control, "stop", f"{self._timer}.timer", f"{self._timer}.service"])

    def _transaction(self, rules: str) -> str:
        """What puts a table in the place of the one there is, all of it or nothing."""
        return f"table {self._table}\ndelete table {self._table}\n{rules.rstrip()}\n"

    def _wanted(self, file: str) -> str:
        unshare = self._module.get_bin_path("unshare", required=True)
        code, listed, error = self._module.run_command(
            [unshare, "--net", "sh", "-c", _TRIAL, "sh", file, self._table],
            path_prefix=os.path.dirname(str(self._nft)),
        )
        if code:
            self._module.fail_json(
                msg=f"nft does not take the rules of {self._table}: {(error or listed).strip()[:2000]}\nNothing was changed."
            )
        return str(listed)

    def _found(self) -> str:
        code, listed, error = self._module.run_command([self._nft, "list", "tables"])
        if code:
            self._module.fail_json(
                msg=f"nft cannot list the tables of this host: {error.strip()} Run as root."
            )
        if f"table {self._table}" not in listed.splitlines():
            return ""
        return str(
            self._module.run_command([self._nft, "-s", "list", "table", *self._table.split()], check_rc=True)[
                1
            ]
        )

    def _load(self, file: str) -> None:
        code, _out, error = self._module.run_command([self._nft, "-f", file])
        if code:
            self._module.fail_json(
                msg=f"nft could not load {self._table}: {error.strip()[:2000]}\nThe rules before are still in force."
            )

    def _write(self) -> None:
        for path, text in self._files().items():
            if _read(path) != text:
                self._replace(path, text)

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, ready = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, 0o644)
        self._module.atomic_move(ready, str(path))


def _read(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "rules": {"type": "str", "default": ""},
            "comment": {"type": "str", "default": ""},
            "part": {"type": "str", "default": ""},
            "part_rules": {"type": "str", "default": ""},
            "step": {"type": "str", "choices": ["bring", "try", "undo", "leave"], "default": "bring"},
            "seconds": {"type": "int", "default": 120},
        },
        required_if=[("step", "leave", ["part"])],
        supports_check_mode=True,
    )
    table = Table(module)
    if module.params["step"] == "undo":
        table.undo()
    if module.params["step"] == "leave":
        table.leave()
    table.bring()


if __name__ == "__main__":
    main()
