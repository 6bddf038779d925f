#!/usr/bin/env bash
# Runs the project's tests with one command, after preparing everything they need: ./run-tests.sh
# Some functions are called by name only.
# shellcheck disable=SC2329
set -uo pipefail

PROGRAM=run-tests.sh
ROOT=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"
use_utf8

ALL=(lint unit e2e molecule servers)
VENV=$ROOT/.venv
NEWER=$ROOT/.venv-3.13
CACHE=${XDG_CACHE_HOME:-~/.cache}/dockfra
REPORTS=$ROOT/.tests
COLLECTION=collections/ansible_collections/dockfra/core
PROCESSES=${DOCKFRA_TEST_PROCESSES:-4} # that run unit tests side by side; more than cores, as tests wait, too
PLATFORMS=${DOCKFRA_TEST_PLATFORMS:-1} # that end-to-end tests have at the same time, 1 or 2
BEFORE=() # what runs pytest

usage() {
  cat <<'USAGE'
usage: ./run-tests.sh [target …] [-- pytest options]

Targets (without one: the first five):
  lint       ruff, yamllint, shellcheck, mypy, ansible-lint, ansible-test sanity, playbook syntax
  unit       unit tests of the project, the collection and the applications
  e2e        the platform, brought up under a name and on ports of its own, tested from outside
  molecule   the default scenario: check, converge, idempotence, verify, destroy
  servers    the platform on two servers, which are containers with an engine of their own: who reaches whom, what each role may do
  newer      the collection's unit tests once more, on Python 3.13 and the ansible-core that goes with it. Not part of all, as fresh runs
             unit on both
  slow       tests that take minutes each, end-to-end and of the library; not part of all
  bench      how long a start, a run with nothing to do and the roles' commands take, beside baselines; not part of all, because
             a busy machine misses its bars
  llm        a few questions to real models, which cost less than a cent: wants a key in OPENROUTER_API_KEY. Not part of all
  fresh      init.sh, verify.yml, teardown.yml and the first five on machines that have nothing but Debian 12 or 13, Python, git and
             sudo: containers with an engine of their own, and a clone of HEAD. What follows -- names machines, and targets where
             not all that is wanted: debian13 debian12:lint,unit. Not part of all, and runs alone
  all        the first five

Beside the end-to-end tests lint, unit, molecule and servers run at a lower priority, one after the other; their output is shown when each
has ended. bench runs before all others, and alone.

What follows -- goes to pytest (unit, newer, e2e, servers, slow), for example: ./run-tests.sh unit -- -k progress -x
Reports, screenshots and output: .tests/ (those of fresh machines: .tests/fresh/). Exit status: 0 all passed, 1 a target failed or ran no test, 2 wrong usage.
USAGE
}

# want <target …>: they are to be run, each once.
want() {
  local target
  for target; do wanted "$target" || targets+=("$target"); done
}

# wanted <target>: whether it is one of those to run.
wanted() { [[ " ${targets[*]} " == *" $1 "* ]]; }

# -- targets: each runs from the repository's root with the environment's tools on PATH --

# checks <name> <command…>: one check of lint, in the background, its output kept for the end.
checks() {
  local name=$1
  shift
  set -m # a process group of its own, so that an interruption ends all of it
  {
    local start status=0
    start=$(now)
    "$@" >"$REPORTS/lint/$name.log" 2>&1 </dev/null || status=$?
    printf '%s %s\n' "$status" "$(seconds_since "$start")" >"$REPORTS/lint/$name.result"
  } &
  set +m
}

end_jobs() {
  local group
  for group in $(jobs -p); do
    kill -TERM -- "-$group" 2>/dev/null
  done
}

check_shell() {
  local file first scripts=()
  # Every tracked or new file that starts like a shell script.
  while IFS= read -r -d '' file; do
    first=''
    if [[ -f $file ]]; then IFS= read -r first <"$file"; fi
    [[ $first =~ ^('#!'.*[/\ ](ba|da)?sh($|\ )|'# shellcheck shell=') ]] && scripts+=("$file")
  done < <(git -c safe.directory="$ROOT" ls-files -z --cached --others --exclude-standard)
  printf '%s\n' "${scripts[@]}"
  shellcheck -x "${scripts[@]}"
}

check_types() {
  local app package status=0
  mypy plugins tests || status=1
  if [[ -d $COLLECTION/plugins ]]; then mypy "$COLLECTION/plugins" || status=1; fi
  # Programs that a role brings into its image.
  for package in "$COLLECTION"/roles/*/files/image/*/__init__.py; do
    [[ -e $package ]] || continue
    package=${package%/__init__.py}
    (cd "${package%/*}" && mypy --config-file "$ROOT/pyproject.toml" --cache-dir "$ROOT/.cache/mypy-${package##*/}" \
      "${package##*/}") || status=1
  done
  # An application is checked with its own packages.
  for package in app/*/*/__init__.py; do
    [[ -e $package ]] || continue
    package=${package%/__init__.py} app=${package%/*}
    (cd "$app" && mypy --config-file "$ROOT/pyproject.toml" --cache-dir "$CACHE/mypy-${app##*/}" \
      --python-executable "$ROOT/.venv-${app##*/}/bin/python" "${package##*/}") || status=1
  done
  return "$status"
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
  (ensure_app_venvs) || return 1
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

# run_pytest <report's name> <python> <pytest arguments…>: fails where no test ran, unless a selection may have found nothing here.
run_pytest() {
  local name=$1 python=$2 report=$REPORTS/$1.xml status=0
  shift 2
  # A shell's background job starts with Ctrl-C ignored, what nohup starts with SIGHUP, and so would every run that a test interrupts.
  "${BEFORE[@]}" env --default-signal=INT,HUP "$python" -m pytest -ra --junitxml="$report" -o junit_suite_name="$name" "$@" || status=$?
  if ((status == 0 || status == 5)) && ! ((SELECTION)); then
    python "$ROOT/tests/tools/report.py" --ran "$report" || { warn "$name: no test ran" && return 1; }
  fi
  ((status == 5 && SELECTION)) || return "$status"
}

# run_units <report's name> <python> <pytest arguments…>: unit tests of Ansible's side, in parallel, with their coverage where it costs nothing.
run_units() {
  local -a coverage=()
  # Older Pythons take twice as long when they are watched.
  if "$2" --version | grep -qE ' 3\.1[2-9]\.'; then
    coverage=(--cov="$COLLECTION/plugins" --cov-report= --cov-report="json:$REPORTS/coverage.json")
  fi
  COVERAGE_FILE=$REPORTS/.coverage COVERAGE_CORE=sysmon run_pytest "$@" -n "$PROCESSES" -m 'not slow' "${coverage[@]}"
}

target_unit() {
  local app failed=0
  local -a apps=()
  # Nobody pulls the plug on these tests: what they write need not reach the disk before they go on.
  local -a BEFORE=(eatmydata)
  (ensure_app_venvs) || return 1
  # The applications' tests mostly wait, so they run beside the others.
  set -m # process groups of their own, so that an interruption ends all of them
  for app in app/*/tests; do
    [[ -d $app ]] || continue
    app=${app%/tests}
    unit_app "$app" "$@" >"$REPORTS/unit-${app##*/}.log" 2>&1 </dev/null &
    apps+=("$app:$!")
  done
  set +m
  say "-- project and collection, $(python --version)"
  run_units unit python tests/unit "$COLLECTION/tests/unit" "$@" || failed=1
  for app in "${apps[@]}"; do
    wait "${app##*:}" || failed=1
    say "-- ${app%:*}"
    cat "$REPORTS/unit-$(basename "${app%:*}").log" >&2
  done
  return "$failed"
}

# unit_app <directory> <pytest options…>: the tests of one application, with packages of its own.
unit_app() {
  local app=$1
  shift
  # Images are built from these directories: nothing is left behind in them.
  cd "$app" && PYTHONPYCACHEPREFIX=$ROOT/.cache/pycache run_pytest "unit-${app##*/}" \
    "$ROOT/.venv-${app##*/}/bin/python" --rootdir . -c /dev/null -p no:cacheprovider tests "$@"
}

target_newer() {
  local python
  local -a BEFORE=(eatmydata)
  if python --version | grep -q ' 3\.13\.'; then
    say "-- that is the Python of this machine, on which unit tests all of it"
    return
  fi
  python=$(find_exact_python 13) || { warn "no python3.13 on this machine" && return 1; }
  say "-- collection, $("$python" --version) and the ansible-core that goes with it"
  (ensure_venv "$NEWER" "$ROOT/requirements-dev.lock" "$python") &&
    run_units newer "$NEWER/bin/python" "$COLLECTION/tests/unit" "$@"
}

# Where that is asked for, in two parts side by side, each on a platform of its own. On two cores they only wait for each other.
target_e2e() {
  local second failed=0
  if ((PLATFORMS < 2)); then
    run_pytest e2e python tests/e2e -m 'not slow' "$@"
    return
  fi
  set -m # a process group of its own, so that an interruption ends all of it
  DOCKFRA_E2E_PART=second run_pytest e2e-second python tests/e2e -m 'not slow' "$@" >"$REPORTS/e2e-second.log" 2>&1 </dev/null &
  second=$!
  set +m
  DOCKFRA_E2E_PART=first run_pytest e2e python tests/e2e -m 'not slow' "$@" || failed=1
  wait "$second" || failed=1
  say "-- the second part" && cat "$REPORTS/e2e-second.log"
  return "$failed"
}

# Beside the servers themselves what depends most on where a service runs: who reaches whom, and what each role may do.
target_servers() {
  DOCKFRA_SERVERS=1 run_pytest servers python tests/e2e/test_servers.py tests/e2e/test_reachability.py tests/e2e/test_roles.py \
    -m 'not slow' "$@"
}

target_slow() {
  local failed=0
  run_pytest slow python tests/unit "$COLLECTION/tests/unit" tests/e2e -m slow "$@" || failed=1
  DOCKFRA_SERVERS=1 run_pytest slow-servers python tests/e2e/test_servers.py -m slow "$@" || failed=1
  return "$failed"
}

target_molecule() {
  molecule test
}

target_llm() {
  PYTHONPATH=$ROOT:$ROOT/collections python tests/real/run.py
}

target_fresh() {
  python tests/fresh/run.py "$@"
}

target_bench() {
  local status=0
  DOCKFRA_KEEP=1 python tests/bench/run.py || status=1
  python tests/bench/commands.py || status=1
  python tests/bench/deploys.py || status=1
  python tests/bench/verify.py || status=1
  python tests/bench/watch.py || status=1
  python tests/bench/page.py || status=1
  python tests/bench/autopilot.py || status=1
  # The platform serves the end-to-end tests, which remove it.
  wanted e2e || [[ -n ${DOCKFRA_KEEP:-} ]] || python tests/bench/run.py --remove || status=1
  return "$status"
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

# ensure_app_venvs: every application has an environment of its own.
ensure_app_venvs() {
  local app
  for app in app/*/requirements-test.txt; do
    [[ -e $app ]] || continue
    app=${app%/*}
    ensure_venv "$ROOT/.venv-${app##*/}" "$ROOT/$app/requirements-test.txt"
  done
}

# client_package: what brings Docker's client; on newer systems it is a package of its own.
client_package() {
  if [[ $(apt-cache policy docker-cli 2>/dev/null) == *'Candidate: '[0-9]* ]]; then echo docker-cli; else echo docker.io; fi
}

prepare() {
  local needs=(ssh=openssh-client git=git)
  ensure_venv "$VENV" "$ROOT/requirements.lock"
  know_collections "$VENV"
  # Fresh machines get what they need by themselves.
  wanted fresh && return
  if wanted unit || wanted newer || wanted slow; then
    needs+=(redis-server=redis-server nginx=nginx sshd=openssh-server nft=nftables ip=iproute2 restic=restic systemd-analyze=systemd
      eatmydata=eatmydata)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || needs+=(initdb=postgresql)
  fi
  if wanted e2e || wanted servers || wanted slow || wanted bench || wanted molecule; then needs+=(docker="$(client_package)"); fi
  if wanted servers || wanted slow; then needs+=(ip=iproute2 nft=nftables); fi
  if wanted e2e || wanted slow; then
    needs+=(ip=iproute2 curl=curl)
    if wanted slow; then
      # What a server is prepared with is there already: in a network of its own none is installed.
      /usr/bin/python3 -c 'import docker' 2>/dev/null || needs+=(-=python3-docker)
      compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || needs+=(initdb=postgresql)
      # Devices of another kind than this machine are emulated.
      needs+=(docker-registry=docker-registry qemu-aarch64-static=qemu-user-static mmdebstrap=mmdebstrap pebble=pebble)
    fi
  fi
  if wanted e2e || wanted slow || wanted bench; then
    type -P chromium-browser google-chrome >/dev/null || needs+=(chromium=chromium)
    # Without any font a browser draws boxes instead of letters.
    fc-list 2>/dev/null | grep -q . || needs+=(-=fonts-dejavu-core)
  fi
  require_packages "${needs[@]}"
  ensure_packages "$VENV" "$ROOT/requirements-dev.lock" dev
}

# -- running them: each leaves "<status> <seconds>" in a file --

# run_target <target> <pytest options…>
run_target() {
  local target=$1 start status=0
  start=$(now)
  case $target in
    lint) target_lint ;;
    unit) target_unit "${@:2}" ;;
    newer) target_newer "${@:2}" ;;
    e2e) target_e2e "${@:2}" ;;
    servers) target_servers "${@:2}" ;;
    slow) target_slow "${@:2}" ;;
    molecule) target_molecule ;;
    bench) target_bench ;;
    llm) target_llm ;;
    fresh) target_fresh "${@:2}" ;;
  esac || status=$?
  printf '%s %s\n' "$status" "$(seconds_since "$start")" >"$REPORTS/$target.result"
}

# verdict <target>: "ok 12.3" or "FAILED 12.3" as it was left, and whether it was ok.
verdict() {
  local status='' seconds=0.0
  if [[ -r $REPORTS/$1.result ]]; then read -r status seconds <"$REPORTS/$1.result"; fi
  if [[ $status == 0 ]]; then printf 'ok %s' "$seconds"; else printf 'FAILED %s' "$seconds"; fi
  [[ $status == 0 ]]
}

# in_front <target> <pytest options…>
in_front() {
  local told
  say "== $1"
  run_target "$@"
  told=$(verdict "$1")
  say "== $1: ${told% *} after ${told#* }s"
}

# beside <target …> -- <pytest options…>: one after the other in the background, each with its output at its end.
beside() {
  local target told
  local -a list=()
  while [[ $1 != -- ]]; do list+=("$1") && shift; done
  shift
  set -m # a process group of its own, so that an interruption ends all of it
  {
    trap 'end_jobs; exit 143' TERM
    renice -n 10 -p "$BASHPID" >/dev/null
    for target in "${list[@]}"; do
      run_target "$target" "$@" >"$REPORTS/$target.log" 2>&1 </dev/null
      told=$(verdict "$target")
      printf '\n== %s, run beside\n%s\n== %s: %s after %ss\n' "$target" "$(<"$REPORTS/$target.log")" "$target" \
        "${told% *}" "${told#* }" >&2
    done
  } &
  set +m
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
    all) want "${ALL[@]}" ;;
    lint | unit | newer | e2e | molecule | servers | bench | slow | llm | fresh) want "$1" ;;
    *) fail 2 "unknown target '$1'; targets: all ${ALL[*]} newer slow bench llm fresh; pytest options come after --" ;;
  esac
  shift
done
((${#targets[@]})) || want "${ALL[@]}"
if wanted fresh && ((${#targets[@]} > 1)); then fail 2 "fresh runs alone; the other targets: ${targets[*]/fresh/}"; fi
if wanted llm && [[ -z ${OPENROUTER_API_KEY:-} ]]; then fail 2 "llm asks real models, so it needs a key in OPENROUTER_API_KEY"; fi

require_supported_os
cd -- "$ROOT" || exit 1
mkdir -p "$REPORTS"
PATH=$PATH:/usr/sbin:/sbin # servers are there, where an ordinary user does not look
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
prepare
# Clones share what mypy knows of the libraries.
export MYPY_CACHE_DIR=$CACHE/mypy ANSIBLE_CONFIG=$ROOT/ansible.cfg DOCKFRA_REPORTS=$REPORTS
export PATH=$VENV/bin:$PATH

rm -f "$REPORTS"/*.{result,xml,json}
SELECTION=$#
begin=$(now)
trap 'end_jobs; fail 130 interrupted' INT
trap 'end_jobs; fail 143 terminated' TERM HUP
front=() aside=()
for target in "${targets[@]}"; do
  case $target in
    bench) ;;
    e2e | slow) front+=("$target") ;;
    *) aside+=("$target") ;;
  esac
done
if wanted bench; then in_front bench; fi # what measures runs alone
if ((${#front[@]} && ${#aside[@]})); then
  beside "${aside[@]}" -- "$@"
  aside=()
fi
for target in "${aside[@]}" "${front[@]}"; do in_front "$target" "$@"; done
wait

failed=0
if ! wanted fresh; then
  # What a selection finds nowhere is a failure too.
  python tests/tools/report.py "$REPORTS" || { ((SELECTION)) && failed=1 && warn "no test ran"; }
fi
printf '\n%-10s %-7s %8s\n' target result seconds
for target in "${targets[@]}"; do
  told=$(verdict "$target") || failed=1
  printf '%-10s %-7s %8s\n' "$target" "${told% *}" "${told#* }"
done
printf '%-10s %-7s %8s\n' total "$( ((failed)) && echo FAILED || echo ok)" "$(seconds_since "$begin")"
exit "$failed"
