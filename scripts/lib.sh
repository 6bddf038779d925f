# shellcheck shell=bash
# Shared by init.sh and run-tests.sh: messages, checks of the machine, and the virtual environment.
# Source it after setting ROOT (the repository) and PROGRAM (the name shown in front of messages).

say() { printf '%s\n' "$*" >&2; }
warn() { say "$PROGRAM: $*"; }

# fail <exit code> <message>
fail() {
  local code=$1
  shift
  say "$PROGRAM: error: $*"
  exit "$code"
}

now() { printf '%s' "${EPOCHREALTIME/[.,]/}"; } # microseconds

# seconds_since <start from now> -> "12.3"
seconds_since() {
  local tenths=$((($(now) - $1) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# require_supported_os [os-release file]: Docker, sshd and the images are built from Debian packages.
require_supported_os() {
  local file=${1:-/etc/os-release} word
  [[ -r $file ]] || fail 1 "unsupported operating system: $file is missing; Debian or Ubuntu is needed"
  local ID='' ID_LIKE='' PRETTY_NAME=''
  # shellcheck disable=SC1090
  source "$file"
  for word in $ID $ID_LIKE; do
    [[ $word == debian || $word == ubuntu ]] && return 0
  done
  fail 1 "unsupported operating system: ${PRETTY_NAME:-${ID:-unknown}}; Debian or Ubuntu is needed"
}

is_root() { ((EUID == 0)); }

# as_root <command…>: as root, or through a sudo that does not ask.
as_root() {
  if is_root; then "$@"; else sudo -n -- "$@"; fi
}

can_be_root() { is_root || { command -v sudo && sudo -n true; } &>/dev/null; }

# use_utf8: Ansible refuses to start in a locale that is not UTF-8, and every Perl complains about one that does not exist.
# Called before anything else is run.
use_utf8() {
  # What `locale` complains about is part of the answer, which is then another one.
  [[ $(locale charmap 2>&1) == UTF-8 ]] || export LC_ALL=C.UTF-8
}

# run_step <label> <log file> <command…>: runs quietly and shows the label with the elapsed seconds; on failure shows
# the end of the log and where all of it is.
run_step() {
  local label=$1 log=$2 start pid status=0 ticks=0
  shift 2
  start=$(now)
  "$@" >"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  # A background job of a script ignores Ctrl-C, so it is ended by hand.
  trap 'end_step "$pid"; fail 130 "interrupted; run the same command again to complete it"' INT
  trap 'end_step "$pid"; exit 143' TERM HUP
  [[ -t 2 ]] || say "$label …"
  while kill -0 "$pid" 2>/dev/null; do
    if [[ -t 2 ]]; then
      printf '\r\033[K%s … %ds' "$label" $((($(now) - start) / 1000000)) >&2
    elif ((++ticks % 150 == 0)); then
      say "$label … $((($(now) - start) / 1000000))s"
    fi
    sleep 0.1
  done
  wait "$pid" || status=$?
  trap - INT TERM HUP
  [[ -t 2 ]] && printf '\r\033[K' >&2
  if ((status)); then
    say "$label: failed after $(seconds_since "$start")s. The end of $log:"
    tail -n 15 -- "$log" | sed 's/^/  /' >&2
    return "$status"
  fi
  say "$label: $(seconds_since "$start")s"
}

end_step() {
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  if [[ -t 2 ]]; then printf '\n' >&2; fi
}

# python_at_least <interpreter> <minor>: also proves that it runs (a version manager's shim may not).
python_at_least() {
  "$1" -I -S -c "import sys; sys.exit(sys.version_info[:2] < (3, $2))" &>/dev/null
}

# find_python: prints the interpreter to use: python3 where it is new enough, else the newest python3.x.
find_python() {
  local minor candidate
  if candidate=$(type -P python3) && python_at_least "$candidate" 11; then
    printf '%s' "$candidate"
    return 0
  fi
  for minor in 15 14 13 12 11; do
    if candidate=$(type -P "python3.$minor") && python_at_least "$candidate" 11; then
      printf '%s' "$candidate"
      return 0
    fi
  done
  return 1
}

# find_exact_python <minor>: prints a python3.<minor> that runs, also one that pyenv keeps aside.
find_exact_python() {
  local candidate
  for candidate in "$(type -P "python3.$1")" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$1".*/bin/python; do
    if [[ -x $candidate ]] && python_at_least "$candidate" "$1"; then
      printf '%s' "$candidate"
      return 0
    fi
  done
  return 1
}

# require_venv_module <interpreter>: Debian splits ensurepip into a package of its own.
require_venv_module() {
  local python=$1 package log=$ROOT/.venv.log
  "$python" -I -c 'import ensurepip, venv' &>/dev/null && return 0
  package=$("$python" -I -S -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if ! can_be_root || ! command -v apt-get &>/dev/null; then
    fail 1 "$python cannot make virtual environments; run: sudo apt-get install $package"
  fi
  run_step "Installing $package" "$log" apt_install "$package" ||
    fail 1 "$package could not be installed; run: apt-get install $package"
}

# apt_install <package…>: what they bring to run as a service is not started, now or at the next boot: its port may be the
# platform's.
apt_install() {
  # shellcheck disable=SC2016 # expanded by the shell that is root
  as_root env DEBIAN_FRONTEND=noninteractive bash -c '
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap "rm -f $policy" EXIT
      trap "exit 143" TERM INT
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 0755 "$policy"
    fi
    apt-get -qq update &&
      apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" || exit
    if [[ -d /run/systemd/system ]]; then
      for package; do systemctl --quiet disable "$package.service" 2>/dev/null; done
    fi
    exit 0
  ' apt_install "$@"
}

# venv_stamp <dir> <lock file>: what a finished environment was made from. Environments cannot be moved, so the place
# counts; and after an upgrade of the system's Python, bin/python runs but looks for its packages elsewhere.
venv_stamp() {
  local sum version
  sum=$(sha256sum <"$2") || return 1
  version=$("$1/bin/python" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
  printf '%s %s %s' "${sum%% *}" "$version" "$1"
}

# venv_is_current <dir> <lock file> <stamp's name>
venv_is_current() {
  local stamp=''
  [[ -r $1/$3 ]] && read -r stamp <"$1/$3"
  [[ -n $stamp && $stamp == "$(venv_stamp "$1" "$2")" ]]
}

pip_install() {
  local dir=$1 lock=$2 ca=/etc/ssl/certs/ca-certificates.crt
  local -a pip=("$dir/bin/python" -I -m pip)
  unset PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_PYTHON
  export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
  # The pip that comes with Python trusts its own list of authorities; the machine's list also has a local proxy's.
  if [[ -z ${PIP_CERT:-} && -r $ca ]] && ! "${pip[@]}" config get global.cert &>/dev/null; then
    export PIP_CERT=$ca
  fi
  # The lock is complete, so nothing is resolved. Compiling 20 000 files takes twice as long as all the rest, and
  # Python compiles the few that are used on its own.
  "${pip[@]}" install --no-deps --require-hashes --no-compile -r "$lock"
}

# with_lock <dir> <command…>: one process at a time prepares an environment; the others wait and say so.
with_lock() {
  local dir=$1
  shift
  exec 9>"$dir.lock" || fail 1 "cannot write $dir.lock"
  if ! flock -n 9; then
    warn "waiting for another run that is preparing $dir"
    flock -w 900 9 || fail 1 "another run has been preparing $dir for 15 minutes; stop it and run this again"
  fi
  "$@"
  exec 9>&-
}

# ensure_venv <dir> <lock file> [interpreter]: does nothing where a current environment is there.
ensure_venv() {
  local dir=$1 lock=$2 python=${3:-}
  venv_is_current "$dir" "$lock" .complete && return 0
  if [[ -z $python ]]; then
    python=$(find_python) ||
      fail 1 "Python 3.11 or newer is needed, found $(python3 --version 2>&1 || printf 'none')"
  fi
  [[ -w $ROOT ]] || fail 1 "$ROOT is not writable for $(id -un)"
  require_venv_module "$python"
  with_lock "$dir" make_venv "$dir" "$lock" "$python"
}

# The stamp is written last: an environment without it was interrupted and is made anew.
make_venv() {
  local dir=$1 lock=$2 python=$3 log=$1.log
  venv_is_current "$dir" "$lock" .complete && return 0
  rm -rf -- "$dir" || fail 1 "cannot remove the outdated $dir"
  run_step "Making ${dir##*/} with $("$python" --version 2>&1)" "$log" "$python" -I -m venv "$dir" ||
    fail 1 "the virtual environment could not be made; full log: $log"
  run_step "Installing ${lock#"$ROOT/"}" "$log" pip_install "$dir" "$lock" ||
    fail 1 "packages could not be installed; full log: $log"
  venv_stamp "$dir" "$lock" >"$dir/.complete"
}

# know_collections <dir>: Ansible looks for collections where Python looks for modules, and finds the project's from any directory.
know_collections() {
  local place
  for place in "$1"/lib/python3.*/site-packages; do
    [[ -e $place/dockfra.pth ]] || printf '%s\n' "$ROOT/collections" >"$place/dockfra.pth"
  done
}

# ensure_packages <dir> <lock file> <name>: adds what a second lock names to an environment made by ensure_venv.
ensure_packages() {
  venv_is_current "$1" "$2" ".complete-$3" || with_lock "$1" add_packages "$@"
}

add_packages() {
  local dir=$1 lock=$2 name=$3 log=$1.log
  venv_is_current "$dir" "$lock" ".complete-$name" && return 0
  run_step "Installing ${lock#"$ROOT/"}" "$log" pip_install "$dir" "$lock" ||
    fail 1 "packages could not be installed; full log: $log"
  venv_stamp "$dir" "$lock" >"$dir/.complete-$name"
}
