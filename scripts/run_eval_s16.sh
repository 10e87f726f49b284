#!/usr/bin/env bash
# DeepLabV3 at output stride 16: one scale.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
evaluate deeplab_v3_s16 --scales 1.0 -- "$@"
