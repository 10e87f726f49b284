#!/usr/bin/env bash
# The first hour on an Ascend card: try everything, and leave one file to send back (docs/ascend.md).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "$PYTHON" "$ROOT/src/tools/ascend_check.py" "$@"
