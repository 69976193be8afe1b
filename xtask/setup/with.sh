#!/bin/sh
# with.sh TOOL… -- COMMAND…
#
# Installs the named tools if they are missing, and runs COMMAND in an environment that
# finds them. Each tool has a script in this folder, such as `rust` or `postgres`: it looks
# for an installed program, installs it otherwise, and stores the result in
# $TOLLGATE_CACHE/env/TOOL.sh, so that the next run takes milliseconds. The scripts run in
# parallel. Nothing is written to the checkout.
set -eu

setup=$(cd "$(dirname "$0")" && pwd)
TOLLGATE_CACHE=${TOLLGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/tollgate}
export TOLLGATE_CACHE
env_dir=$TOLLGATE_CACHE/env
mkdir -p "$env_dir"

# install TOOL: under a lock, because another `make` may be installing it, too.
install() {
    if command -v flock >/dev/null 2>&1; then
        flock -o "$env_dir/$1.lock" sh "$setup/$1.sh" </dev/null
    else
        sh "$setup/$1.sh" </dev/null
    fi
}

tools=
pids=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    tools="$tools $1"
    install "$1" &
    pids="$pids $!"
    shift
done
[ $# -gt 1 ] || { echo "usage: with.sh TOOL… -- COMMAND…" >&2; exit 2; }
shift

trap 'kill $pids 2>/dev/null || :; exit 130' INT TERM
failed=
for pid in $pids; do wait "$pid" || failed=yes; done
[ -z "$failed" ] || exit 1
trap - INT TERM

# The private Debian tree comes first, because its programs need its libraries.
[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"
for tool in $tools; do . "$env_dir/$tool.sh"; done
exec "$@"
