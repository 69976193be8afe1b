#!/bin/sh
# drive.sh TASK…: builds the task runner (xtask) and runs it. Called through `with.sh rust`.
set -eu
unset CARGO_BUILD_TARGET
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR

# Cargo detects a change by the modification time of a file. In a target folder that another
# checkout has used, older files would look unchanged, so the artifacts of the workspace's own
# crates are discarded. Those of dependencies stay valid.
if [ "$(cat "$CARGO_TARGET_DIR/.checkout" 2>/dev/null)" != "$PWD" ]; then
    for crate in tollgate $(sed -n 's/^members = \[\(.*\)\]/\1/p' Cargo.toml | tr -d '",'); do
        rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/"$crate"-* "$CARGO_TARGET_DIR"/*/*/.fingerprint/"$crate"-*
    done
    mkdir -p "$CARGO_TARGET_DIR"
    printf '%s\n' "$PWD" >"$CARGO_TARGET_DIR/.checkout"
fi

quiet=-q
if [ ! -x "$CARGO_TARGET_DIR/debug/xtask" ]; then
    quiet=
    echo "Building the task runner (the first build takes a minute)" >&2
fi
# With the whole workspace selected, the dependencies that xtask shares with the server have the
# same features, and are built once.
"${CARGO:-cargo}" build $quiet --workspace --bin xtask
exec "$CARGO_TARGET_DIR/debug/xtask" "$@"
