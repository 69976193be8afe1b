#!/bin/sh
# Chromium for the browser tests: CHROMIUM_PATH, an installed Chromium or Chrome,
# Playwright's download, or Debian's package.
set -eu
setup=$(cd "$(dirname "$0")" && pwd)
. "$setup/say.sh"
. "$setup/debian.sh"

if [ -n "${CHROMIUM_PATH-}" ]; then
    [ -x "$CHROMIUM_PATH" ] || fail "CHROMIUM_PATH is not a program: $CHROMIUM_PATH"
    [ -e "$env_dir/chromium.sh" ] || : | remember chromium
    exit 0
fi
if [ -e "$env_dir/chromium.sh" ]; then (
    . "$env_dir/chromium.sh"
    [ -x "${CHROMIUM_PATH-}" ]
) && exit 0; fi

find_chromium() {
    first_program /usr/bin/chromium chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/chrome-linux*/chrome \
        "$HOME/Library/Caches/ms-playwright"/chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium
}

# Chromium in the private tree, without Debian's launcher, which uses absolute paths. It gets the
# fonts of the tree and of the system.
unpacked_chromium() {
    [ -x "$debian_tree/usr/lib/chromium/chromium" ] || return 1
    mkdir -p "$TOLLGATE_CACHE/chromium"
    cat >"$TOLLGATE_CACHE/chromium/fonts.conf" <<END
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>$debian_tree/usr/share/fonts</dir>
  <cachedir>$TOLLGATE_CACHE/chromium/fontconfig</cachedir>
  <include ignore_missing="yes">$debian_tree/etc/fonts/conf.d</include>
</fontconfig>
END
    cat >"$TOLLGATE_CACHE/chromium/chromium" <<END
#!/bin/sh
. $(quoted "$env_dir/debian.sh")
# Debian's libraries expect these at an absolute path.
export LD_LIBRARY_PATH="\$LD_LIBRARY_PATH:"$(quoted "$debian_tree/usr/lib/$(uname -m)-linux-gnu/pulseaudio")
export FONTCONFIG_FILE=$(quoted "$TOLLGATE_CACHE/chromium/fonts.conf")
exec $(quoted "$debian_tree/usr/lib/chromium/chromium") "\$@"
END
    chmod +x "$TOLLGATE_CACHE/chromium/chromium"
    printf '%s\n' "$TOLLGATE_CACHE/chromium/chromium"
}

path=$(unpacked_chromium || find_chromium) || {
    on_debian || fail "The browser tests need Chromium or Chrome." \
        "Install one, or set CHROMIUM_PATH=/path/to/chrome" \
        "macOS: brew install --cask google-chrome" "or: cd end2end && npx playwright install chromium"
    say "installing Chromium (a minute; 120 MB to download)"
    debian_install chromium fonts-liberation || fail "Chromium could not be installed (see $TOLLGATE_CACHE/apt.log)."
    path=$(unpacked_chromium || find_chromium) || fail "Chromium was installed, but cannot be found." "Set CHROMIUM_PATH=/path/to/chromium"
}

# An installed program may still be missing a library.
version=$(limited 30 "$path" --version 2>&1) || fail "$path failed to start:" "$version"
remember chromium <<END
export CHROMIUM_PATH="\${CHROMIUM_PATH:-$path}"
END
say "Chromium is ready: $path"
