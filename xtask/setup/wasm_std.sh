# The standard library for wasm, built from Debian's rust-web-src; sourced by rust.sh.
#
# Input: $prefix of the compiler, and $target. Output: $sysroot, which links to the compiler's
# sysroot and adds the target and its linker. The library is optimized for size, because browsers
# download it, and built from the crates vendored with the source, without network access.

host=$("$prefix/bin/rustc" -vV | sed -n 's/^host: //p')
version=$("$prefix/bin/rustc" -vV | cksum | cut -d' ' -f1)
sysroot=$TOLLGATE_CACHE/rust/sysroot-$version

# wasm_linker: prints the path of LLVM's lld, preferably of the compiler's LLVM version.
wasm_linker() {
    llvm=$("$prefix/bin/rustc" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    find_linker() {
        first_program "lld-$llvm" "$debian_tree/usr/bin/lld-$llvm" \
            "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/stable-*/lib/rustlib/"$host"/bin/rust-lld \
            "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/*/lib/rustlib/"$host"/bin/rust-lld
    }
    find_linker && return 0
    say "installing lld, the linker for wasm (seconds; 150 MB)"
    with_apt debian_update
    if debian_offers "lld-$llvm"; then debian_install "lld-$llvm" >&2; else debian_install lld >&2; fi
    find_linker || first_program lld "$debian_tree/usr/bin/lld"
}

build_wasm_std() (
    work=$(mktemp -d "$TOLLGATE_CACHE/rust/wasm-std.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    library=$prefix/lib/rustlib/src/rust/library

    # The sysroot: links, and a folder for the new target.
    rustlib=$work/sysroot/lib/rustlib
    mkdir -p "$rustlib/$host/bin" "$rustlib/$target/lib"
    for entry in "$prefix/lib/rustlib"/*; do
        [ "${entry##*/}" = "$host" ] || [ "${entry##*/}" = "$target" ] || ln -s "$entry" "$rustlib/"
    done
    ln -s "$prefix/lib/rustlib/$host/lib" "$rustlib/$host/lib"
    ln -s "$linker" "$rustlib/$host/bin/rust-lld"

    mkdir "$work/src"
    : >"$work/src/lib.rs"
    cat >"$work/Cargo.toml" <<END
[package]
name = "nothing"
version = "0.0.0"
edition = "2024"
[lib]
crate-type = ["cdylib"]
[profile.release]
opt-level = "z"
panic = "abort"
codegen-units = 1
[workspace]
END
    # With bitcode, because the WebAssembly is linked with LTO.
    cd "$work"
    unset CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
    RUSTC_BOOTSTRAP=1 RUSTC=$prefix/bin/rustc RUSTFLAGS='-C embed-bitcode=yes' \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
        "$prefix/bin/cargo" build --release --offline --target "$target" --target-dir "$work/target" \
        -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size \
        --config 'source.crates-io.replace-with="beside-the-source"' \
        --config "source.beside-the-source.directory=\"$library/vendor\"" \
        >"$TOLLGATE_CACHE/wasm-std.log" 2>&1 || { tail -n 15 "$TOLLGATE_CACHE/wasm-std.log" >&2; exit 1; }
    cp "$work/target/$target/release/deps"/lib*.rlib "$rustlib/$target/lib/"
    rm -f "$rustlib/$target/lib"/libnothing*
    rm -rf "$sysroot"
    mv "$work/sysroot" "$sysroot"
)

mkdir -p "$TOLLGATE_CACHE/rust"
if [ ! -e "$sysroot/lib/rustlib/$host/bin/rust-lld" ] || ! ls "$sysroot/lib/rustlib/$target/lib"/libstd-*.rlib >/dev/null 2>&1; then
    linker=$(wasm_linker) || fail "No linker for wasm: LLVM's lld is missing." "On Debian: apt-get install lld"
    say "building the standard library for wasm (half a minute to a few minutes, once)"
    build_wasm_std || fail "The standard library for wasm could not be built (see $TOLLGATE_CACHE/wasm-std.log)."
fi
