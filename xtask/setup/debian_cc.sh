# A C compiler in the private tree; sourced by rust.sh.
#
# Rust links with `cc`, and SQLite is written in C. If the system has no compiler, rustc-web has
# brought gcc into the tree. It works there with the tree as its sysroot, and with links to the
# libraries that are only on the system, such as libc.

if ! command -v cc >/dev/null 2>&1; then
    gcc=$(first_program "$debian_tree/usr/bin/gcc" "$debian_tree"/usr/bin/gcc-[0-9]*) ||
        fail "There is no C compiler." "Install one: apt-get install gcc libc6-dev"
    triplet=$(uname -m)-linux-gnu
    # `libc.so` is a linker script with absolute paths, which GNU ld looks up in the sysroot.
    for folder in "lib/$triplet" lib64 "usr/lib/$triplet"; do
        mkdir -p "$debian_tree/$folder"
        for library in "/$folder"/*.so.[0-9]* "/$folder"/ld-linux*; do
            name=$debian_tree/$folder/${library##*/}
            [ ! -e "$library" ] || [ -e "$name" ] || ln -s "$library" "$name"
        done
    done
    for name in cc gcc; do
        printf '#!/bin/sh\nexec %s --sysroot=%s -B%s "$@"\n' "$(quoted "$gcc")" "$(quoted "$debian_tree")" \
            "$(quoted "$debian_tree/usr/bin/")" >"$bin/$name"
        chmod +x "$bin/$name"
    done
    "$bin/cc" --version >/dev/null 2>&1 || fail "The unpacked C compiler does not work." "Install one: apt-get install gcc libc6-dev"
fi
