# For every interactive shell. It lives in the image, not in the home directory: that is a volume
# which outlives the image, and an update must reach people who logged in before it.

# The gate's callers are answered by the gate. For a command that sshd starts bash reads this file and then ~/.bashrc,
# where a function could bear the gate's name, and a harmless echo would spoil every answer.
if [[ ${BASH_EXECUTION_STRING-} =~ ^/usr/local/bin/gate\ ([^[:space:]]+)$ ]]; then
    # The prompt's keys are not for ~/.inputrc to say either.
    INPUTRC=/etc/inputrc exec /usr/local/bin/gate "${BASH_REMATCH[1]}"
fi

# A command of another role is refused as such, also when it is not typed at a prompt: sshd makes bash read this file.
command_not_found_handle() {
    if [ -x /usr/local/lib/dockfra/dockfra-refuse ]; then
        /usr/local/lib/dockfra/dockfra-refuse "$1"
    else
        printf '%s: command not found\n' "$1" >&2
        return 127
    fi
}

# What a role has is what it wants to know; bash's own answers stay at `builtin help`.
if compgen -G '/run/dockfra-commands/*' >/dev/null; then
    help() {
        if (($#)); then
            "$1" --help
        else
            /usr/local/lib/dockfra/dockfra-commands
        fi
    }
fi

# A terminal that nothing is known of here (kitty, ghostty, foot, and those to come) can do what all of today's can. This
# holds for a program that sshd starts on a terminal too.
if [ -n "${TERM-}" ] && ! infocmp -- "$TERM" >/dev/null 2>&1; then
    export TERM=xterm-256color
fi

[ -n "${PS1-}" ] || return

shopt -s checkwinsize histappend
HISTCONTROL=ignoreboth
HISTSIZE=5000
HISTFILESIZE=10000

if [[ ${TERM-} == *color* || ${TERM-} == @(xterm|screen|tmux|linux|vt220)* ]]; then
    PS1='\[\e[1;36m\]\u\[\e[0m\]@\h:\[\e[1m\]\w\[\e[0m\]\$ '
    alias ls='ls --color=auto' grep='grep --color=auto'
else
    PS1='\u@\h:\w\$ '
fi
alias ll='ls -l'
export EDITOR=nano PAGER=less LESS=-FRX

if [ -r /usr/share/bash-completion/bash_completion ]; then
    # shellcheck source=/dev/null
    . /usr/share/bash-completion/bash_completion
fi
