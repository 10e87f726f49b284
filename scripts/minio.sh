#!/usr/bin/env bash
# minio.sh - install the MinIO server that the S3 tests run against, and print its path; notes go to stderr.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
(($# == 0)) || { echo "usage: [MINDLIFT_CACHE=DIR] $0" >&2; exit 2; }
version=v0.0.0-20260212201848-7aac2a2c5b7c
need=1.24
target=${MINDLIFT_CACHE:-$HOME/.cache/mindlift}/bin/minio-${version##*-}

note() { echo "minio: $*" >&2; }
need_go() {
    note "$1; install Go >= $need (https://go.dev/dl), or set MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY to use a running server"
    exit 2
}

if [ ! -x "$target" ]; then
    command -v go > /dev/null || need_go "no 'go' on PATH to build MinIO with"
    found=$(go env GOVERSION 2> /dev/null) || need_go "'go' is on PATH but does not run"
    found=${found#*go}
    printf '%s\n' "$need" "$found" | sort -CV || need_go "Go $found is too old to build MinIO"
    mkdir -p "${target%/*}"
    build=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    note "building $target (some minutes, once)"
    if ! GOBIN=$build go install "github.com/minio/minio@$version" > "$build/log" 2>&1; then
        tail -n 15 "$build/log" >&2
        note "the build failed (see above); is there a network, and 3 GB of free disk?"
        exit 1
    fi
    mv -f "$build/minio" "$target"
    note "done"
fi
echo "$target"
