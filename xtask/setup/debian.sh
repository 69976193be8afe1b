# Debian packages, with or without root; sourced, not run.
#
# With root or passwordless sudo, apt-get installs them. Without, they go to a private tree: apt
# resolves and downloads with its own state in the cache, `dpkg -x` unpacks, and env/debian.sh
# points the dynamic linker at the result. The system is not changed.

debian_tree=$TOLLGATE_CACHE/debian

on_debian() { command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1; }

# may_install: whether apt-get can install packages; sets $as_root to the command prefix.
may_install() {
    as_root=
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || return 1
    as_root=sudo
}

# apt ARGUMENTS…: runs apt-get on the system, or on the private state.
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

# debian_offers PACKAGE: whether this release has the package.
debian_offers() { apt -s install "$1" >/dev/null 2>&1; }

# At most every 30 minutes.
debian_update() {
    stamp=$TOLLGATE_CACHE/apt.updated
    [ -z "$(find "$stamp" -mmin -30 2>/dev/null)" ] || return 0
    # A broken third-party source is not fatal; a missing package is.
    apt update >"$TOLLGATE_CACHE/apt.log" 2>&1 || say "apt-get update failed (see $TOLLGATE_CACHE/apt.log); continuing"
    : >"$stamp"
}

# with_apt COMMAND…: runs COMMAND while no other script uses apt, which does not wait for its own locks.
with_apt() (
    ! command -v flock >/dev/null 2>&1 || { exec 9>"$TOLLGATE_CACHE/apt.lock" && flock 9; }
    "$@" 9>&-
)

# debian_install PACKAGE…
debian_install() {
    with_apt install_packages "$@" || return 1
    [ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"
}

install_packages() {
    debian_update
    if may_install; then
        apt install --no-install-recommends "$@" >>"$TOLLGATE_CACHE/apt.log" 2>&1 && return 0
        tail -n 15 "$TOLLGATE_CACHE/apt.log" >&2
        return 1
    fi
    say "no root access: unpacking packages into $debian_tree"
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
}
