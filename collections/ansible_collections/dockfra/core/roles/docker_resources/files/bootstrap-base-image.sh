#!/usr/bin/env bash
# Bootstrap a minimal Debian and import it as a docker image: bootstrap-base-image.sh debian:<suite>-slim
set -euo pipefail

main() {
  local image=$1 suite root
  suite=${image##*:}
  suite=${suite%-slim}
  root=$(mktemp -d)
  # shellcheck disable=SC2064  # the path as it is now
  trap "rm -rf --one-file-system '$root'" EXIT
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" >&2
  import "$root" "$image"
}

# What the registry's slim image leaves out too.
import() {
  tar --create --directory "$1" --numeric-owner \
    --exclude='./dev/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' . |
    docker import --change 'CMD ["bash"]' --change 'LABEL dockfra.managed=true' - "$2"
}

main "$@"
