#!/bin/sh
# schemathesis, which tests the API against its description, in a virtual environment in the
# cache, so that the system's Python is not changed.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
. "$setup/pip.sh"

version=4.32.5
home=$TOLLGATE_CACHE/schemathesis-$version

starts() { "$1" --version >/dev/null 2>&1; }

if [ -n "${SCHEMATHESIS-}" ]; then
    starts "$SCHEMATHESIS" || fail "SCHEMATHESIS failed to start: $SCHEMATHESIS"
    [ -e "$env_dir/schemathesis.sh" ] || : | remember schemathesis
    exit 0
fi
if [ -e "$env_dir/schemathesis.sh" ]; then (
    . "$env_dir/schemathesis.sh"
    [ -n "${SCHEMATHESIS-}" ] && starts "$SCHEMATHESIS"
) && exit 0; fi

# Whether Python can create virtual environments: on Debian that needs the package python3-venv.
has_venv() { command -v python3 >/dev/null 2>&1 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# install_beside: without python3-venv, installs the packages into a folder, and a launcher.
install_beside() {
    has_pip || { on_debian && debian_install python3 python3-pip && has_pip; } || return 1
    python3 -m pip install -q --disable-pip-version-check --target "$home/lib" "schemathesis==$version" \
        >"$TOLLGATE_CACHE/pip-schemathesis.log" 2>&1 || return 1
    mkdir -p "$home/bin"
    printf '#!/bin/sh\nPYTHONPATH=%s exec python3 -m schemathesis.cli "$@"\n' "$(quoted "$home/lib")" >"$home/bin/schemathesis"
    chmod +x "$home/bin/schemathesis"
}

install_in_venv() {
    has_venv || { on_debian && may_install && debian_install python3 python3-venv && has_venv; } || return 1
    python3 -m venv "$home" >"$TOLLGATE_CACHE/pip-schemathesis.log" 2>&1 &&
        "$home/bin/python" -m pip install -q --disable-pip-version-check "schemathesis==$version" \
            >>"$TOLLGATE_CACHE/pip-schemathesis.log" 2>&1
}

say "installing schemathesis from PyPI (half a minute; 40 MB)"
rm -rf "$home"
install_in_venv || { rm -rf "$home"; install_beside; } || {
    tail -n 5 "$TOLLGATE_CACHE/pip-schemathesis.log" >&2
    fail "schemathesis could not be installed (see $TOLLGATE_CACHE/pip-schemathesis.log)." \
        "It needs Python 3.10 or newer with pip; or set SCHEMATHESIS=/path/to/schemathesis"
}
starts "$home/bin/schemathesis" || fail "schemathesis was installed, but failed to start: $home/bin/schemathesis"
remember schemathesis <<END
export SCHEMATHESIS="\${SCHEMATHESIS:-$home/bin/schemathesis}"
END
say "schemathesis is ready: $("$home/bin/schemathesis" --version)"
