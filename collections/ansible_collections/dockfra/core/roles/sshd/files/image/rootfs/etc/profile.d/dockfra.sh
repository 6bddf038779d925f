# shellcheck shell=sh
# The message of a login: who this is, what it is for, and the commands it has.
if [ -n "${PS1-}" ] && [ -t 1 ] && [ ! -e "$HOME/.hushlogin" ]; then
    /usr/local/lib/dockfra/welcome
fi
