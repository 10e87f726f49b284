#!/usr/bin/env bash
# Evaluate in one process on the CPU.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 NET DATASET DATA CKPT" 4 4 "$@"
set -- "${POSITIONAL[@]}"
job "$1" "$2" "$3" "${4:-}" CPU 0
exec "$PYTHON" "$ROOT/eval.py" "${JOB[@]}"
