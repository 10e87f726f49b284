#!/usr/bin/env bash
# Train in one process on the CPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 NET DATASET DATA [CKPT]" 3 4 "$@"
set -- "${POSITIONAL[@]}"
job "$1" "$2" "$3" "${4:-}" CPU 0
exec "$PYTHON" "$ROOT/train.py" "${JOB[@]}"
