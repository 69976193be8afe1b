#!/bin/sh
# with.sh THING… -- COMMAND…
#
# Makes sure that the named things are on this machine, then becomes COMMAND in
# an environment that finds them. A thing is a script beside this one (`rust`,
# `postgres`, `chromium`, `node`): it looks for what is there, installs what is
# missing and leaves the answer in $TOLLGATE_CACHE/env/THING.sh, which makes the
# next look a matter of milliseconds. Nothing is written into the checkout.
set -eu

setup=$(cd "$(dirname "$0")" && pwd)
TOLLGATE_CACHE=${TOLLGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/tollgate}
export TOLLGATE_CACHE
mkdir -p "$TOLLGATE_CACHE/env"

while [ $# -gt 0 ] && [ "$1" != -- ]; do
    sh "$setup/$1.sh" </dev/null
    # Where the private Debian tree serves, its libraries and programs come along.
    [ ! -e "$TOLLGATE_CACHE/env/debian.sh" ] || . "$TOLLGATE_CACHE/env/debian.sh"
    . "$TOLLGATE_CACHE/env/$1.sh"
    shift
done
[ $# -gt 1 ] || { echo "usage: with.sh THING… -- COMMAND…" >&2; exit 2; }
shift
exec "$@"
