#!/bin/sh
# Rust with the wasm32-unknown-unknown target, in this order:
#   1. the active toolchain, if it is new enough and has the target;
#   2. Debian's rustc-web, if it is installed; its standard library for wasm is built from source
#      (see wasm_std.sh), without network access;
#   3. rustup, which downloads what is missing;
#   4. Debian's rustc-web, installed now, for machines that only reach package registries.
# If RUSTC is set, no other compiler is tried. Clippy and rustfmt come from the same toolchain.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"

target=wasm32-unknown-unknown
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$setup/../../Cargo.toml")

identity() { "$1" -vV 2>/dev/null | cksum; }

# new_enough RUSTC
new_enough() {
    release=$("$1" -vV 2>/dev/null | sed -n 's/^release: \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$release" ] || return 1
    [ "${release%.*}" -gt "${oldest%%.*}" ] ||
        { [ "${release%.*}" -eq "${oldest%%.*}" ] && [ "${release#*.}" -ge "$(printf %s "$oldest" | cut -d. -f2)" ]; }
}

has_wasm() {
    for std in "$("$1" --print sysroot)/lib/rustlib/$target/lib"/libstd-*.rlib; do [ ! -e "$std" ] || return 0; done
    return 1
}

# ---- the toolchain of the last run

if [ -e "$env_dir/rust.sh" ]; then (
    [ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"
    chosen=${RUSTC-}
    . "$env_dir/rust.sh"
    [ "$TOLLGATE_RUSTC_IS" = "$(identity "${RUSTC:-rustc}")" ] && new_enough "${RUSTC:-rustc}" && has_wasm "${RUSTC:-rustc}" &&
        { [ -z "$chosen" ] || [ "$TOLLGATE_RUSTC_IS" = "$(identity "$chosen")" ]; }
) && exit 0; fi

# ---- the active toolchain

# rustup may be installed, but not on the PATH of a shell that was started earlier.
cargo_bin=
if [ -z "${RUSTC-}" ] && ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
    cargo_bin=$HOME/.cargo/bin
    PATH=$PATH:$cargo_bin
fi
active=${RUSTC:-rustc}

# use_active: selects the active toolchain if it can build for the browser.
use_active() {
    new_enough "$active" && has_wasm "$active" || return 1
    {
        [ -z "$cargo_bin" ] || printf 'PATH=$PATH:%s\n' "$(quoted "$cargo_bin")"
        [ -z "${RUSTUP_TOOLCHAIN-}" ] || printf 'export RUSTUP_TOOLCHAIN=%s\n' "$(quoted "$RUSTUP_TOOLCHAIN")"
        [ -z "${RUSTC-}" ] || printf 'export RUSTC=%s\n' "$(quoted "$RUSTC")"
        printf 'export PATH CARGO=%s\n' "$(quoted "${CARGO:-cargo}")"
        printf 'TOLLGATE_RUSTC_IS=%s\n' "$(quoted "$(identity "$active")")"
    } | remember rust
    exit 0
}

add_with_rustup() {
    command -v rustup >/dev/null 2>&1 || return 1
    if new_enough rustc; then
        say "adding the $target target with rustup (seconds; 60 MB)"
        limited 120 rustup target add "$target" >"$TOLLGATE_CACHE/rustup.log" 2>&1 && return 0
    else
        say "installing Rust $oldest with rustup (a minute; 300 MB)"
        export RUSTUP_TOOLCHAIN="$oldest"
        limited 600 rustup toolchain install "$oldest" --profile minimal -c clippy -c rustfmt -t "$target" \
            >"$TOLLGATE_CACHE/rustup.log" 2>&1 && return 0
        unset RUSTUP_TOOLCHAIN
    fi
    say "rustup failed: $(tail -n 1 "$TOLLGATE_CACHE/rustup.log")"
    return 1
}

# ---- Debian's

# debian_rust: finds a complete toolchain of Debian's, installed or unpacked, and sets $prefix.
debian_rust() {
    for prefix in /usr "$debian_tree/usr"; do
        if [ -x "$prefix/bin/cargo" ] && new_enough "$prefix/bin/rustc" &&
            [ -x "$prefix/bin/cargo-clippy" ] && [ -x "$prefix/bin/rustfmt" ] &&
            [ -e "$prefix/lib/rustlib/src/rust/library/Cargo.lock" ]; then return 0; fi
    done
    return 1
}

install_debian_rust() {
    on_debian || return 1
    say "installing Debian's rustc-web, cargo-web, clippy, rustfmt and the library's source (a minute or two; 700 MB)"
    debian_install rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web libc6-dev ca-certificates && debian_rust
}

# use_debian: adds the wasm target to Debian's toolchain and selects it.
use_debian() {
    bin=$TOLLGATE_CACHE/rust/bin
    mkdir -p "$bin"
    PATH=$bin:$PATH
    [ "$prefix" = /usr ] || . "$setup/debian_cc.sh"
    . "$setup/wasm_std.sh"

    # The same compiler, so that earlier builds stay valid, but with a sysroot that has the target.
    for tool in rustc rustdoc; do
        printf '#!/bin/sh\nexec %s --sysroot %s "$@"\n' "$(quoted "$prefix/bin/$tool")" "$(quoted "$sysroot")" >"$bin/$tool.$$"
        chmod +x "$bin/$tool.$$"
        mv -f "$bin/$tool.$$" "$bin/$tool"
    done
    for tool in cargo cargo-clippy cargo-fmt rustfmt; do ln -sfn "$prefix/bin/$tool" "$bin/$tool"; done

    remember rust <<END
PATH=$(quoted "$bin"):\$PATH
CARGO=$(quoted "$prefix/bin/cargo")
RUSTC=$(quoted "$bin/rustc")
RUSTDOC=$(quoted "$bin/rustdoc")
RUSTFMT=$(quoted "$prefix/bin/rustfmt")
# Without these, cargo would run rustup's plugins, which belong to another compiler.
CARGO_CLIPPY=$(quoted "$prefix/bin/cargo-clippy")
CARGO_FMT=$(quoted "$prefix/bin/cargo-fmt")
# For clippy-driver, which is not run through the wrapper above.
SYSROOT=$(quoted "$sysroot")
TOLLGATE_RUSTC_IS=$(quoted "$(identity "$bin/rustc")")
export PATH CARGO RUSTC RUSTDOC RUSTFMT CARGO_CLIPPY CARGO_FMT SYSROOT
unset RUSTUP_TOOLCHAIN
END
    say "Rust is ready: $("$bin/rustc" --version)"
    exit 0
}

# ---- the order

[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"
use_active || :
if debian_rust && { [ -z "${RUSTC-}" ] || [ "$(identity "$RUSTC")" = "$(identity "$prefix/bin/rustc")" ]; }; then use_debian; fi
if [ -z "${RUSTC-}" ]; then
    if add_with_rustup; then use_active || :; fi
    if install_debian_rust; then use_debian; fi
fi
fail "Tollgate needs Rust $oldest or newer with the $target target." \
    "Install rustup from https://rustup.rs and run this again; the target is then added automatically." \
    "${RUSTC:+RUSTC is set to a compiler without the target: $RUSTC}"
