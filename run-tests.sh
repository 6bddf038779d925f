#!/usr/bin/env bash
# Runs the project's tests with one command, after preparing everything they need: ./run-tests.sh
# Some functions are called by name only.
# shellcheck disable=SC2329
set -uo pipefail

PROGRAM=run-tests.sh
ROOT=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"

ALL=(lint unit e2e molecule bench)
VENV=$ROOT/.venv
NEWER=$ROOT/.venv-3.13
REPORTS=$ROOT/.tests
COLLECTION=collections/ansible_collections/dockfra/core

usage() {
  cat <<'USAGE'
usage: ./run-tests.sh [target …] [-- pytest options]

Targets (without one: all of the first five, in this order):
  lint       ruff, yamllint, shellcheck, mypy, ansible-lint, ansible-test sanity, playbook syntax
  unit       unit tests of the project, the collection and the applications
  e2e        the platform, brought up under a name and on ports of its own, tested from outside
  molecule   the default scenario: check, converge, idempotence, verify, destroy
  bench      how long a run with nothing to do takes, beside plain docker_container tasks
  slow       end-to-end tests that take many minutes; not part of all
  all        the first five

What follows -- goes to pytest (unit, e2e, slow), for example: ./run-tests.sh unit -- -k progress -x
Reports and screenshots: .tests/. Exit status: 0 all passed, 1 a target failed or ran no test, 2 wrong usage.
USAGE
}

# -- targets: each runs from the repository's root with the environment's tools on PATH --

# checks <name> <command…>: one check of lint, in the background, its output kept for the end.
checks() {
  local name=$1
  shift
  {
    local start status=0
    start=$(now)
    "$@" >"$REPORTS/lint/$name.log" 2>&1 </dev/null || status=$?
    printf '%s %s\n' "$status" "$(seconds_since "$start")" >"$REPORTS/lint/$name.result"
  } &
}

check_shell() {
  local -a scripts
  # Every tracked or new file that starts like a shell script.
  mapfile -d '' scripts < <(git -c safe.directory="$ROOT" ls-files -z --cached --others --exclude-standard |
    xargs -0 grep -lZE --binary-files=without-match -m1 '^#!.*\b(ba|da)?sh\b|^# shellcheck shell=' --)
  shellcheck -x "${scripts[@]}"
}

check_types() {
  mypy plugins tests &&
    { [[ ! -d $COLLECTION/plugins ]] || mypy "$COLLECTION/plugins"; }
}

check_syntax() {
  local -a playbooks
  # Below playbooks/ there are lists of tasks as well.
  mapfile -t playbooks < <(grep -lrE --include='*.yml' \
    '^(- |  )(hosts|import_playbook|ansible\.builtin\.import_playbook):' site.yml playbooks)
  ansible-playbook --syntax-check -i inventories/local "${playbooks[@]}"
}

target_lint() {
  local name status seconds failed=0
  rm -rf "$REPORTS/lint" && mkdir -p "$REPORTS/lint" || return 1
  # The longest first: the others run beside it.
  checks ansible-test-sanity python tests/tools/sanity.py
  checks ansible-lint ansible-lint --nocolor --offline --profile production
  checks ansible-syntax check_syntax
  checks mypy check_types
  checks ruff ruff check .
  checks ruff-format ruff format --check .
  checks shellcheck check_shell
  checks yamllint yamllint --strict .
  checks changelog env -C "$COLLECTION" antsibull-changelog lint
  wait
  for name in "$REPORTS"/lint/*.log; do
    name=$(basename "$name" .log)
    read -r status seconds <"$REPORTS/lint/$name.result" || status=1
    if ((status)); then
      failed=1
      say "-- $name: FAILED (${seconds}s)"
      cat "$REPORTS/lint/$name.log" >&2
    else
      say "-- $name: ok (${seconds}s)"
    fi
  done
  return "$failed"
}

# run_pytest <report's name> <python> <pytest arguments…>
run_pytest() {
  local name=$1 python=$2
  shift 2
  "$python" -m pytest --junitxml="$REPORTS/$name.xml" -o junit_suite_name="$name" "$@"
}

target_unit() {
  local app name python failed=0
  say "-- project and collection, $(python --version)"
  run_pytest unit python tests/unit "$COLLECTION/tests/unit" -n 4 "$@" || failed=1
  for app in app/*/tests; do
    [[ -d $app ]] || continue
    app=${app%/tests} name=${app##*/}
    say "-- $app"
    if ! (ensure_venv "$ROOT/.venv-$name" "$ROOT/$app/requirements-test.txt"); then
      failed=1
      continue
    fi
    (cd "$app" && run_pytest "unit-$name" "$ROOT/.venv-$name/bin/python" --rootdir . -c /dev/null \
      -p no:cacheprovider tests "$@") || failed=1
  done
  if python --version | grep -q ' 3\.13\.'; then
    return "$failed"
  elif python=$(find_exact_python 13); then
    say "-- collection, $("$python" --version) and the ansible-core that goes with it"
    (ensure_venv "$NEWER" "$ROOT/requirements-dev.lock" "$python") &&
      run_pytest unit-3.13 "$NEWER/bin/python" "$COLLECTION/tests/unit" -n 4 "$@" || failed=1
  else
    say "-- collection on Python 3.13: no python3.13 on this machine, left out"
  fi
  return "$failed"
}

target_e2e() {
  run_pytest e2e python tests/e2e -m 'not slow' "$@"
}

target_slow() {
  run_pytest slow python tests/e2e -m slow "$@"
}

target_molecule() {
  molecule test
}

target_bench() {
  python tests/bench/run.py
}

# -- preparation --

# require_packages <command>=<package> …: Debian packages of the tests, where their command is missing.
require_packages() {
  local pair missing=()
  for pair; do
    type -P "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  ((${#missing[@]})) || return 0
  can_be_root || fail 1 "missing packages; run: sudo apt-get install ${missing[*]}"
  run_step "Installing ${missing[*]}" "$REPORTS/apt.log" apt_install "${missing[@]}" ||
    fail 1 "packages could not be installed: ${missing[*]}"
}

prepare() {
  local target browser=() needs=(ssh=openssh-client git=git)
  for target; do
    case $target in
      e2e | slow) type -P chromium-browser google-chrome >/dev/null || browser=(chromium=chromium) ;;
    esac
  done
  # The browser draws boxes instead of letters where no font is installed.
  ((${#browser[@]})) && { type -P fc-list >/dev/null && fc-list | grep -q . || needs+=(-=fonts-dejavu-core); }
  require_packages "${needs[@]}" ${browser[@]+"${browser[@]}"}
  ensure_venv "$VENV" "$ROOT/requirements.lock"
  ensure_packages "$VENV" "$ROOT/requirements-dev.lock" dev
}

# -- main --

targets=()
while (($#)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    all) targets+=("${ALL[@]}") ;;
    lint | unit | e2e | molecule | bench | slow) targets+=("$1") ;;
    *) fail 2 "unknown target '$1'; targets: all ${ALL[*]} slow; pytest options come after --" ;;
  esac
  shift
done
((${#targets[@]})) || targets=("${ALL[@]}")

require_supported_os
cd -- "$ROOT" || exit 1
mkdir -p "$REPORTS"
use_utf8
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
prepare "${targets[@]}"
export ANSIBLE_CONFIG=$ROOT/ansible.cfg DOCKFRA_REPORTS=$REPORTS
export PATH=$VENV/bin:$PATH

results=() failed=0 begin=$(now)
trap 'say ""; fail 130 interrupted' INT
for target in "${targets[@]}"; do
  say "== $target"
  start=$(now) status=0
  case $target in
    lint) target_lint ;;
    unit) target_unit "$@" ;;
    e2e) target_e2e "$@" ;;
    slow) target_slow "$@" ;;
    molecule) target_molecule ;;
    bench) target_bench ;;
  esac || status=$?
  if ((status)); then result=FAILED failed=1; else result=ok; fi
  results+=("$(printf '%-10s %-7s %8s' "$target" "$result" "$(seconds_since "$start")")")
  say "== $target: $result after $(seconds_since "$start")s"
done

printf '\n%-10s %-7s %8s\n' target result seconds
printf '%s\n' "${results[@]}"
printf '%-10s %-7s %8s\n' total "$( ((failed)) && echo FAILED || echo ok)" "$(seconds_since "$begin")"
exit "$failed"
