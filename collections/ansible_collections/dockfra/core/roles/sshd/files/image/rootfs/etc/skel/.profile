# Read by login shells, after /etc/profile.
if [ -n "${BASH_VERSION-}" ] && [ -r "$HOME/.bashrc" ]; then
    # shellcheck source=/dev/null
    . "$HOME/.bashrc"
fi
