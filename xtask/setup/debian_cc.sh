# A C compiler in the private tree; sourced by rust.sh.
#
# Rust links with `cc`, and SQLite is C. Where the system has no compiler, gcc
# came along into the tree with rustc-web; it works there once it is told that the
# tree is its root, and once the libraries that the system does have (the C
# library itself) are found in the tree as well.

if ! command -v cc >/dev/null 2>&1; then
    gcc=$(first_program "$debian_tree/usr/bin/gcc" "$debian_tree"/usr/bin/gcc-[0-9]*) ||
        fail "There is no C compiler." "Install one: apt-get install gcc libc6-dev"
    triplet=$(uname -m)-linux-gnu
    # GNU ld reads `libc.so`, a script with absolute paths, below the root it is given.
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
    "$bin/cc" --version >/dev/null 2>&1 || fail "The unpacked C compiler does not start." "Install one: apt-get install gcc libc6-dev"
fi
