# Messages and stored results of the setup scripts; sourced, not run.
# Each script announces a download and how long it may take. It ends with a file that
# `with.sh` can source, or with an error message that says what to do.

env_dir=${TOLLGATE_CACHE:?run this through with.sh}/env

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    printf '\nsetup: %s\n' "$1" >&2
    shift
    for line; do printf '        %s\n' "$line" >&2; done
    exit 1
}

# quoted TEXT: prints TEXT as one word of shell.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# remember TOOL: stores standard input as the environment of TOOL, atomically.
remember() {
    cat >"$env_dir/$1.sh.$$"
    mv -f "$env_dir/$1.sh.$$" "$env_dir/$1.sh"
}

# first_program PATH…: prints the first path, or name on PATH, that can be run.
first_program() {
    for candidate; do
        case $candidate in
            */*) [ -x "$candidate" ] && [ ! -d "$candidate" ] && { printf '%s\n' "$candidate"; return 0; } ;;
            *) command -v "$candidate" 2>/dev/null && return 0 ;;
        esac
    done
    return 1
}

# limited SECONDS COMMAND…: runs COMMAND with a time limit, if `timeout` is installed.
limited() {
    if command -v timeout >/dev/null 2>&1; then timeout "$@"; else shift; "$@"; fi
}
