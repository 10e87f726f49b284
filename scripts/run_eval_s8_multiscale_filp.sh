#!/usr/bin/env bash
# run_eval_s8_multiscale_flip.sh as the documents also spell it.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
exec bash "$ROOT/scripts/run_eval_s8_multiscale_flip.sh" "$@"
