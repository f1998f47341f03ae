#!/usr/bin/env bash
# scripts/system-packages.sh FILE: installs the Debian packages that FILE names, one a line, where this user may.
# Where that is not possible it says so and succeeds: the tests that need them skip, and say what is missing.
set -euo pipefail

wanted="$(sed -e 's/#.*//' "$1" | tr -s '[:space:]' ' ')"

installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then env "$@"; else sudo -n env "$@"; fi
}

left_out() {
    echo "Not installed: $missing ($1). The tests that need them skip." >&2
    exit 0
}

missing=""
for package in $wanted; do
    if ! command -v dpkg-query >/dev/null || ! installed "$package"; then missing="$missing $package"; fi
done
missing="${missing# }"
[ -n "$missing" ] || exit 0

[ "${SYSTEM_PACKAGES:-yes}" != no ] || left_out "SYSTEM_PACKAGES=no"
command -v apt-get >/dev/null || left_out "this system has no apt-get: install their like with its own package manager"
[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || left_out "neither root nor sudo without a password: sudo apt-get install $missing"

log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# The tests start servers of their own on free loopback ports: the packages' own services stay off.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    trap 'rm -f "$log"; as_root rm -f "$policy"' EXIT
fi

echo "Installing $missing for the tests (SYSTEM_PACKAGES=no leaves them out) ..."
apt_get() { as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null >>"$log" 2>&1; }
apt_get update || echo "apt-get update failed: going on with the lists that are here." >&2
# shellcheck disable=SC2086 # one argument a package
if ! apt_get install --yes --no-install-recommends $missing; then
    tail -n 20 "$log" >&2
    left_out "apt-get install failed, see above"
fi
