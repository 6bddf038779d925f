#!/usr/bin/env bash
# Brings a platform up with one command: ./init.sh local on this machine, ./init.sh production on two servers
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

  --set name=value       fill in what the inventory leaves open (repeatable); what is missing is asked for on a terminal
  --doctor               say what is wrong with the machines of the inventory, with what to do about it, and change nothing on them
  --ssh-config           make plain 'ssh dockfra-manager' work: one Include in ~/.ssh/config, which the teardown takes out

Options for ansible-playbook, for example:
  --check --diff         show what would be changed, and change nothing
  --limit db,redis       only these services
  -e name=value          set a variable
  -v                     show every task
  -K                     ask for the sudo password
  --vault-id NAME@FILE   the password of the inventory's secrets, where it keeps them in Ansible Vault: a file, or a program
                         that prints it; asked for on a terminal

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

gives_vault_password() {
  local arg
  [[ -n ${ANSIBLE_VAULT_PASSWORD_FILE:-}${ANSIBLE_VAULT_IDENTITY_LIST:-} ]] && return 0
  for arg in "$@"; do
    case $arg in
      --vault-* | --ask-vault-* | -J) return 0 ;;
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

# Words for the playbook; what is this script's own becomes a variable of it, or a value of the inventory.
words=() given=() playbook=site.yml
while (($#)); do
  case $1 in
    --doctor) playbook=playbooks/doctor.yml ;;
    --ssh-config) words+=(-e dockfra_ssh_config=true) ;;
    --set)
      (($# > 1)) || fail 2 "--set takes a name and a value, like --set dockfra_domain=platform.example.org"
      given+=("--set=$2")
      shift
      ;;
    --set=*) given+=("$1") ;;
    *) words+=("$1") ;;
  esac
  shift
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

# An inventory that is kept as a skeleton is filled in first.
if ((${#given[@]})) || grep -qs FILL_IN "inventories/$name/hosts.yml"; then
  "$ROOT/.venv/bin/python" scripts/fill_in.py "inventories/$name" ${given[@]+"${given[@]}"} || exit
fi

vault=inventories/$name/group_vars/all/vault.yml
if grep -rqs '^dockfra_vault_file: *.*/vault.yml' "inventories/$name/group_vars" && ! gives_vault_password "$@"; then
  if [[ ! -t 0 ]]; then
    fail 1 "the inventory keeps its secrets in $vault, which needs a password, and there is no terminal; add --vault-id $name@FILE"
  fi
  extra+=(--vault-id "$name@prompt")
  # A new password is typed twice, so that no slip of the fingers locks the secrets up for good.
  if [[ ! -e $vault ]]; then
    say "$vault is to keep the platform's keys and passwords. Choose a password for it, and keep that somewhere else."
    printf 'dockfra_vault: {}\n' |
      "$ROOT/.venv/bin/ansible-vault" encrypt --vault-id "$name@prompt" --encrypt-vault-id "$name" --output "$vault" || exit
  fi
fi
exec "$ROOT/.venv/bin/ansible-playbook" "$playbook" -i "inventories/$name" ${extra[@]+"${extra[@]}"} "$@"
