# How the set-up scripts speak and write; sourced by them, not run.
# Every script says what it is about to do and how long that may take, and ends
# either in a file that `with.sh` can source or in one sentence that helps.

env_dir=${TOLLGATE_CACHE:?run this through with.sh}/env

say() { printf 'set-up: %s\n' "$*" >&2; }

fail() {
    printf '\nset-up: %s\n' "$1" >&2
    shift
    for line; do printf '        %s\n' "$line" >&2; done
    exit 1
}

# quoted TEXT: TEXT as one word of shell.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# remember THING: stores standard input as the environment of THING, atomically.
remember() {
    cat >"$env_dir/$1.sh.$$"
    mv -f "$env_dir/$1.sh.$$" "$env_dir/$1.sh"
}

# found NAME PATH…: prints the first PATH (or name on PATH) that can be run.
first_program() {
    for candidate; do
        case $candidate in
            */*) [ -x "$candidate" ] && [ ! -d "$candidate" ] && { printf '%s\n' "$candidate"; return 0; } ;;
            *) command -v "$candidate" 2>/dev/null && return 0 ;;
        esac
    done
    return 1
}

# limited SECONDS COMMAND…: as `timeout`, where there is one.
limited() {
    if command -v timeout >/dev/null 2>&1; then timeout "$@"; else shift; "$@"; fi
}
