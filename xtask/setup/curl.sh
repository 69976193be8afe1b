#!/bin/sh
# curl, which the guides use to test the app: from PATH, or from Debian's package.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"

command -v curl >/dev/null 2>&1 || {
    say "installing curl (a few seconds; 1 MB)"
    { on_debian && debian_install curl; } || :
    command -v curl >/dev/null 2>&1 || fail "The tests need curl." "Install it with your package manager."
}

[ -e "$env_dir/curl.sh" ] || : | remember curl
