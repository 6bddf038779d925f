#!/usr/bin/env bash
# Brings a platform up on this machine with one command: ./init.sh local
set -euo pipefail

PROGRAM=init.sh
ROOT=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd -P)
# shellcheck source=scripts/lib.sh
source "$ROOT/scripts/lib.sh"
use_utf8

inventories() {
  local dir names=()
  for dir in "$ROOT"/inventories/*/; do
    [[ -d $dir ]] && names+=("$(basename "$dir")")
  done
  printf '%s' "${names[*]}"
}

usage() {
  cat <<USAGE
usage: ./init.sh <inventory> [--ssh-config] [ansible-playbook options]
       ./init.sh <inventory> --doctor

Prepares .venv where it is missing or outdated, then runs
  ansible-playbook site.yml -i inventories/<inventory> [options]
so that the platform is as its inventory says. Running it again changes nothing.

Inventories here: $(inventories)

  --doctor               say what is wrong with the machines of the inventory, with what to do about it, and change nothing on them
  --ssh-config           make plain 'ssh dockfra-manager' work: one Include in ~/.ssh/config, which the teardown takes out

Options for ansible-playbook, for example:
  --check --diff         show what would be changed, and change nothing
  --limit db,redis       only these services
  -e name=value          set a variable
  -v                     show every task
  -K                     ask for the sudo password

Exit status: 0 done, 1 failed, 2 wrong usage, otherwise that of ansible-playbook.
USAGE
}

asks_for_root_password() {
  local arg
  [[ -n ${ANSIBLE_BECOME_PASSWORD_FILE:-} ]] && return 0
  for arg in "$@"; do
    case $arg in
      --ask-become-pass | --become-password-file* | --become-pass-file*) return 0 ;;
      --*) ;;
      -*K*) return 0 ;;
    esac
  done
  return 1
}

name=${1:-}
case $name in
  -h | --help)
    usage
    exit 0
    ;;
  '') fail 2 "which inventory? usage: ./init.sh <inventory> [ansible-playbook options]; inventories here: $(inventories)" ;;
  -*) fail 2 "the inventory comes first: ./init.sh <inventory> $name; inventories here: $(inventories)" ;;
esac
shift
if [[ $name == */* || $name == .* || ! -d $ROOT/inventories/$name ]]; then
  fail 2 "unknown inventory '$name'; inventories here: $(inventories)"
fi

# Words for the playbook; what is this script's own becomes a variable of it.
words=()
playbook=site.yml
for word in "$@"; do
  case $word in
    --ssh-config) words+=(-e dockfra_ssh_config=true) ;;
    --doctor) playbook=playbooks/doctor.yml ;;
    *) words+=("$word") ;;
  esac
done
set -- ${words[@]+"${words[@]}"}

require_supported_os
cd -- "$ROOT"

# Where this machine is the Docker host, the playbook becomes root: the services' files belong to their own users.
extra=()
if grep -rqsE '^\s*ansible_connection: *local' "inventories/$name" && ! is_root && ! asks_for_root_password "$@"; then
  if ! command -v sudo >/dev/null; then
    fail 1 "$(id -un) is not root and there is no sudo; run this as root or as a user with sudo"
  elif ! sudo -n true 2>/dev/null; then
    if [[ ! -t 0 ]]; then
      fail 1 "sudo asks for a password and there is no terminal; run this as root or with --become-password-file"
    fi
    extra=(--ask-become-pass)
  fi
fi

ensure_venv "$ROOT/.venv" "$ROOT/requirements.lock"
know_collections "$ROOT/.venv"

# Of a misspelt option Ansible says so below two screens of usage.
options=$ROOT/.venv/.options
[[ -s $options ]] || "$ROOT/.venv/bin/ansible-playbook" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u >"$options"
for word in "$@"; do
  # Any beginning of an option that is its alone is one too.
  if [[ $word == --?* ]] && ! grep -q -- "^${word%%=*}" "$options"; then
    fail 2 "unknown option '$word'; ./init.sh --help names the usual ones, .venv/bin/ansible-playbook --help all"
  fi
done

export ANSIBLE_CONFIG=$ROOT/ansible.cfg
# Packages come uncompiled: let Python keep what it compiles, or each start compiles anew.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
exec "$ROOT/.venv/bin/ansible-playbook" "$playbook" -i "inventories/$name" ${extra[@]+"${extra[@]}"} "$@"
