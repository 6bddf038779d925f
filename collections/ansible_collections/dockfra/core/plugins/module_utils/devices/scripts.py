# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is done on a device: fixed scripts for sh(1) and coreutils, since a device needs nothing but an SSH server.

The directory of a device's releases, in the home of its user:

```text
releases/<id>/program        what the release brought for this kind of device
releases/<id>/about          a line: sequence number, size, SHA-256, name
releases/<id>.part/          half a release, of a transfer that goes on where it was cut
releases/current, previous   links to ids: what is in use, and what was before
releases/unproven            there from when that changes until the device has said that it is well; names what it was well with before
.dockfra/restart, healthy, reboot   programs that the device may have, to take up a release, to say whether it is well, to start anew
```

Each script may be killed at any command, with the device's power too, and done again brings the same. None asks the device's
clock. Each ends its answer with a line of its own, so that an answer which broke off is known as such.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

# Bytes of a piece. A transfer that was cut goes on after the last whole one.
PIECE = 1024 * 1024
# The last line of an answer.
END = "done"
# Seconds for a program of a release to say its version, which the first time on a slow device means that it unpacks itself; and for
# those of the device.
TRIAL_SECONDS = 120
HOOK_SECONDS = 60

_BEGIN = """\
set -eu
umask 022
export LC_ALL=C
cd "$HOME"
say() { printf '%s %s\\n' "$1" "$2"; }
safe() { sync "$@" 2>/dev/null || sync; }
sum() { hashed=$(sha256sum) && printf '%s' "${hashed%% *}"; }
"""

# What the scripts use.
TOOLS = "basename chmod dd df head ln mkdir mv readlink rm sha256sum sync timeout tr uname wc"

# What the device is and has; changes nothing.
STATUS = """\
for tool in @TOOLS@; do
  command -v "$tool" >/dev/null 2>&1 || say missing "$tool"
done
say machine "$(uname -m)"
say bits "$(getconf LONG_BIT 2>/dev/null || echo 0)"
read -r boot </proc/sys/kernel/random/boot_id || boot=unknown
read -r first </proc/1/stat || first='0 (unknown)'
set -- ${first##*)}
say boot "$boot.${20:-0}"
place=.
[ ! -d releases ] || place=releases
df -Pk "$place" | { read -r _; read -r _ _ _ free _; say free "$free"; }
for link in current previous; do
  [ ! -L "releases/$link" ] || say "$link" "$(readlink "releases/$link")"
done
[ ! -e releases/unproven ] || say unproven "$(head -c 300 releases/unproven)"
for folder in releases/*; do
  case $folder in
    *.part) [ ! -d "$folder" ] || say half "$(basename "$folder" .part)" ;;
    *) [ ! -f "$folder/about" ] || [ -L "$folder" ] || say release "${folder#releases/} $(head -c 300 "$folder/about")" ;;
  esac
done
""".replace("@TOOLS@", TOOLS)

# ID: begins with a release, or goes on with it.
PREPARE = """\
mkdir -p "releases/$1.part"
program=releases/$1.part/program
[ ! -f "$program" ] || say size "$(wc -c <"$program")"
"""

# ID COUNT: the hash of so many whole pieces.
PREFIX = f"""\
say sum "$(dd if="releases/$1.part/program" bs={PIECE} count="$2" | sum)"
"""

# ID NUMBER: a piece to its place, from the input, and its hash as it is read back. Written twice it is the same.
PUT = f"""\
program=releases/$1.part/program
dd of="$program" bs={PIECE} seek="$2" conv=notrunc
say sum "$(dd if="$program" bs={PIECE} skip="$2" count=1 | sum)"
"""

# ID SIZE SHA256 SEQUENCE NAME: makes a release of what has come, by one rename. It is read back from the card, as far as the system lets go
# of what it has in memory.
FINISH = """\
cd releases
if [ ! -d "$1" ]; then
  program=$1.part/program
  safe "$program"
  dd if="$program" iflag=nocache count=0 2>/dev/null || :
  found=$(sum <"$program")
  say sum "$found"
  if [ "$found" = "$3" ]; then
    chmod 755 "$program"
    printf '%s %s %s %s\\n' "$4" "$2" "$3" "$5" >"$1.part/about"
    safe "$program" "$1.part/about" "$1.part"
    mv -T "$1.part" "$1"
  fi
else
  say sum "$(sum <"$1/program")"
fi
safe .
"""

# ID: what the program of a release says when it is asked for its version. What it unpacks for itself goes when it goes.
TRY = f"""\
status=0
export XDG_CACHE_HOME="$PWD/releases/$1/cache"
said=$(timeout {TRIAL_SECONDS} "releases/$1/program" --version 2>&1 </dev/null) || status=$?
say status "$status"
say said "$(printf '%s' "$said" | head -c 200 | tr -c '[:print:]' ' ')"
"""

# ID, or nothing: lets it be the release in use. Each link changes in one step, and what was in use is known before it is left.
SWITCH = """\
mkdir -p releases
cd releases
point() { rm -f ".$1.new"; ln -s "$2" ".$1.new"; mv -T ".$1.new" "$1"; safe .; }
old=$(readlink current || :)
if [ "$old" != "$1" ]; then
  # What it was well with last is what it goes back to, however often it changes before it is well again.
  [ -s unproven ] || printf '%s\\n' "${old:-none}" >unproven
  safe unproven .
  [ -z "$old" ] || point previous "$old"
  if [ -n "$1" ]; then
    point current "$1"
  else
    rm -f current
    safe .
  fi
fi
"""

# The device takes up what is in use now, and says whether it is well, as far as it has programs for that.
TAKE_UP = f"""\
for word in restart healthy; do
  status=0
  if [ -x ".dockfra/$word" ]; then
    said=$(timeout {HOOK_SECONDS} ".dockfra/$word" 2>&1 </dev/null) || status=$?
    say said "$(printf '%s' "$said" | head -c 200 | tr -c '[:print:]' ' ')"
  fi
  say "$word" "$status"
  [ "$status" = 0 ] || break
done
"""

# What is in use is well.
PROVEN = """\
cd releases
rm -f unproven
safe .
"""

# ID …: removes releases, and what is half of one. A release is half of one first.
REMOVE = """\
cd releases
for id; do
  rm -rf "$id.part"
  if [ -d "$id" ]; then
    mv -T "$id" "$id.part"
    safe .
    rm -rf "$id.part"
  fi
done
safe .
"""

# The device starts anew. Whoever waits for the end of this may wait in vain.
REBOOT = """\
if [ -x .dockfra/reboot ]; then
  timeout 60 .dockfra/reboot
else
  sudo -n systemctl reboot || sudo -n reboot
fi
"""


def line(script: str, arguments: Iterable[str] = ()) -> str:
    """Return a script with its arguments as one command line, for any shell that a device's user may have.

    Args:
        script: one of the above.
        arguments: its arguments; each is one, whatever it holds.
    """
    words = ["sh", "-c", f"{_BEGIN}{script}echo {END}\n", "dockfra", *arguments]
    return f"exec {shlex.join(words)}"
