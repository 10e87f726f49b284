#!/usr/bin/env bash
# A first hour on a card: runs every part once and writes one file to send back; --help says more, docs/ascend.md most.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -m mindlift ascend_check "$@"
