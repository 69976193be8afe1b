#!/bin/sh
# drive.sh TASK…: builds the driver (xtask) and becomes it. Run by `with.sh rust`.
set -eu
unset CARGO_BUILD_TARGET
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR

# Cargo tells a changed file by its age, and our crates by their place in the
# workspace. To a target folder that served another checkout, older files would look
# unchanged; so what was built of ours is forgotten. Dependencies stay.
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
    echo "Building the driver (the first time takes a minute)" >&2
fi
# The whole workspace is selected, so that what the driver shares with the server
# is built with the same features, and therefore once.
"${CARGO:-cargo}" build $quiet --workspace --bin xtask
exec "$CARGO_TARGET_DIR/debug/xtask" "$@"
