#!/bin/sh
# drive.sh TASK…: builds the driver (xtask) and becomes it. Run by `with.sh rust`.
set -eu
unset CARGO_BUILD_TARGET
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR
quiet=-q
if [ ! -x "$CARGO_TARGET_DIR/debug/xtask" ]; then
    quiet=
    echo "Building the driver (the first time takes a minute)" >&2
fi
# The whole workspace is selected, so that what the driver shares with the server
# is built with the same features, and therefore once.
"${CARGO:-cargo}" build $quiet --workspace --bin xtask
exec "$CARGO_TARGET_DIR/debug/xtask" "$@"
