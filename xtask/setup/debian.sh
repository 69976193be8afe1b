# Debian packages, with or without the right to install them; sourced, not run.
#
# Root and passwordless sudo use apt-get as it is meant. Everybody else gets a
# private tree: apt resolves and downloads with its own state under the cache,
# `dpkg -x` unpacks, and env/debian.sh points the dynamic linker at the result.
# Programs of the tree are run in place; nothing of the system is touched.

debian_tree=$TOLLGATE_CACHE/debian

on_debian() { command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1; }

# may_install: true where apt-get can install; sets $as_root to its prefix.
may_install() {
    as_root=
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || return 1
    as_root=sudo
}

# apt ARGUMENTS…: apt-get on the system, or on the private state.
apt() {
    if may_install; then
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
        return
    fi
    mkdir -p "$debian_tree/.apt/lists/partial" "$debian_tree/.apt/archives/partial"
    apt-get -q -y -o Debug::NoLocking=1 \
        -o Dir::State="$debian_tree/.apt" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$debian_tree/.apt" "$@"
}

# debian_offers PACKAGE: whether this release has it.
debian_offers() { apt -s install "$1" >/dev/null 2>&1; }

debian_update() {
    [ -z "${debian_updated-}" ] || return 0
    # One broken third-party source must not stop us; a package that is missing will.
    apt update >"$TOLLGATE_CACHE/apt.log" 2>&1 || say "apt-get update complained (see $TOLLGATE_CACHE/apt.log); going on"
    debian_updated=yes
}

# debian_install PACKAGE…
debian_install() {
    debian_update
    if may_install; then
        apt install --no-install-recommends "$@" >>"$TOLLGATE_CACHE/apt.log" 2>&1 && return 0
        tail -n 15 "$TOLLGATE_CACHE/apt.log" >&2
        return 1
    fi
    say "no right to install packages here: unpacking them into $debian_tree"
    wanted=$(apt -s --no-install-recommends install "$@" 2>>"$TOLLGATE_CACHE/apt.log" |
        sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\{0,1\}(\([^ ]*\).*/\1=\3/p') || return 1
    debs=$debian_tree/.apt/debs
    mkdir -p "$debs" "$debian_tree/.unpacked"
    for package in $wanted; do
        [ ! -e "$debian_tree/.unpacked/$package" ] || continue
        (cd "$debs" && apt download "$package") >>"$TOLLGATE_CACHE/apt.log" 2>&1 || {
            tail -n 15 "$TOLLGATE_CACHE/apt.log" >&2
            return 1
        }
        for deb in "$debs"/*.deb; do dpkg -x "$deb" "$debian_tree" || return 1; rm -f "$deb"; done
        : >"$debian_tree/.unpacked/$package"
    done
    triplet=$(uname -m)-linux-gnu
    remember debian <<END
case :\${LD_LIBRARY_PATH-}: in
*:$debian_tree/usr/lib/$triplet:*) ;;
*)
    LD_LIBRARY_PATH=$debian_tree/usr/lib/$triplet:$debian_tree/lib/$triplet:$debian_tree/usr/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
    PATH=\$PATH:$debian_tree/usr/bin
    export LD_LIBRARY_PATH PATH
    ;;
esac
END
    . "$env_dir/debian.sh"
}
