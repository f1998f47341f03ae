#!/usr/bin/env bash
# scripts/collector.sh [--path]: builds the Collector of collector-config/builder.yaml, once for each version of that
# manifest, and prints where it is. With --path it builds nothing: it only prints where the binary is or would be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

manifest="$PWD/collector-config/builder.yaml"
version="$(sed -n 's/^  version: //p' "$manifest")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/otel-monitor/collector"
hash="$({ uname -sm; cat "$manifest"; } | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16)"
binary="$cache/$hash/otelcol-monitor"

if [ "${1:-}" = --path ] || [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi

fail() { printf 'otel-monitor: %s\n' "$@" >&2; exit 1; }

command -v go >/dev/null || fail "building a Collector needs Go 1.25 or newer, and there is none here." \
    "Get it from https://go.dev/dl and run 'make collector' again."
go_version="$(go env GOVERSION)"
minor="$(sed -n 's/^go1\.\([0-9]*\).*/\1/p' <<<"$go_version")"
if [ "${minor:-0}" -lt 21 ]; then
    fail "building a Collector needs Go 1.25 or newer, and this one is $go_version." \
        "Get a newer one from https://go.dev/dl and run 'make collector' again."
elif [ "$minor" -lt 25 ]; then
    export GOTOOLCHAIN=auto # since 1.21 Go fetches a newer one of itself, as a module, when it is let
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
echo "Building a Collector, version $version (some minutes, once) ..." >&2
cp "$manifest" "$work/builder.yaml"
build() {
    cd "$work" &&
        GOBIN="$work" go install "go.opentelemetry.io/collector/cmd/builder@v$version" &&
        ./builder --config builder.yaml
}
if ! (build) >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    fail "the Collector could not be built; the lines above say why (most often: no way to the Go module proxy)."
fi
mkdir -p "$(dirname "$binary")"
# Moved into place in one step: two builds at once do not disturb each other.
cp "$work/_build/otelcol-monitor" "$binary.$$"
mv "$binary.$$" "$binary"
echo "$binary"
