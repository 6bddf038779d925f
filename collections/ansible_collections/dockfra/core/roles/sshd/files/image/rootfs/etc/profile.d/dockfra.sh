# shellcheck shell=sh
# /etc/profile has just set the PATH anew: the role's commands come first on it.
PATH=/run/dockfra-commands:$PATH

# The message of a login: who this is, what it is for, and the commands it has.
if [ -n "${PS1-}" ] && [ -t 1 ] && [ ! -e "$HOME/.hushlogin" ]; then
    /usr/local/lib/dockfra/welcome
fi
