#!/bin/sh
# PostgreSQL's programs (the tests start their own server): from PATH, from where Debian and
# Homebrew install them, or from Debian's package.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"

has_programs() { [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ]; }

if [ -n "${POSTGRES_BIN-}" ]; then
    has_programs "$POSTGRES_BIN" || fail "POSTGRES_BIN does not contain initdb, pg_ctl and postgres: $POSTGRES_BIN"
    [ -e "$env_dir/postgres.sh" ] || : | remember postgres
    exit 0
fi
if [ -e "$env_dir/postgres.sh" ]; then (
    . "$env_dir/postgres.sh"
    [ -n "${POSTGRES_BIN-}" ] && has_programs "$POSTGRES_BIN"
) && exit 0; fi

# find_postgres: prints the folder of the programs. A link on PATH is resolved; the newest version wins.
find_postgres() {
    initdb=$(command -v initdb 2>/dev/null) && initdb=$(readlink -f "$initdb" 2>/dev/null || echo "$initdb") &&
        has_programs "${initdb%/*}" && { echo "${initdb%/*}"; return 0; }
    newest=
    for bin in /usr/lib/postgresql/*/bin "$debian_tree"/usr/lib/postgresql/*/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/pgsql-*/bin \
        /Applications/Postgres.app/Contents/Versions/latest/bin; do
        ! has_programs "$bin" || newest=$bin
    done
    [ -n "$newest" ] && echo "$newest"
}

bin=$(find_postgres) || {
    on_debian || fail "The tests need PostgreSQL's programs (initdb, pg_ctl, postgres)." \
        "macOS: brew install postgresql@17" "Fedora: dnf install postgresql-server" \
        "or set POSTGRES_BIN=/path/to/bin"
    say "installing PostgreSQL (half a minute; 50 MB)"
    # Keep the package from creating and starting a server.
    quiet=/etc/postgresql-common/createcluster.d/tollgate-setup.conf
    if may_install; then
        $as_root mkdir -p "${quiet%/*}"
        echo "create_main_cluster = false" | $as_root tee "$quiet" >/dev/null
    fi
    installed=yes
    debian_install postgresql || installed=no
    ! may_install || $as_root rm -f "$quiet"
    [ "$installed" = yes ] || fail "PostgreSQL could not be installed (see $TOLLGATE_CACHE/apt.log)."
    bin=$(find_postgres) || fail "PostgreSQL was installed, but cannot be found." "Set POSTGRES_BIN=/path/to/bin"
}

[ ! -e "$env_dir/debian.sh" ] || . "$env_dir/debian.sh"
version=$("$bin/postgres" --version 2>&1) || fail "$bin/postgres failed to start:" "$version"
remember postgres <<END
export POSTGRES_BIN="\${POSTGRES_BIN:-$bin}"
END
say "PostgreSQL is ready: $version"
