#!/usr/bin/env bash
# scripts/venv.sh [EXTRAS]: makes .venv where there is none, and installs otel-monitor into it, editable.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="${1:-}"

fail() { printf 'otel-monitor: %s\n' "$@" >&2; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if new_enough "$name"; then
            printf '%s' "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer found (looked for: ${PYTHON:+$PYTHON, }python3, python3.11 to python3.14, python)." \
        "Get it from https://www.python.org/downloads/ or your system's packages (Debian 12 and newer: apt install python3 python3-venv)," \
        "or name one: make PYTHON=/path/to/python3.11 ..."
}

if ! { [ -x .venv/bin/python ] && new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    python="$(find_python)"
    echo "Making .venv with $("$python" --version) ..."
    "$python" -m venv --clear .venv || fail "$python could not make a virtual environment." \
        "On Debian and Ubuntu its module is a package of its own: apt install $(basename "$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')")-venv"
fi

echo "Installing otel-monitor${extras:+ [$extras]} into .venv ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
