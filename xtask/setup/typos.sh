#!/bin/sh
# typos, the spell checker: TYPOS, an installed one, the wheel on PyPI, or built by cargo.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
. "$setup/pip.sh"

install_program TYPOS typos typos==1.52.0 typos-cli
