#!/usr/bin/env bash
# DeepLabV3 at output stride 8: five scales.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
evaluate deeplab_v3_s8 --scales 0.5 --scales 0.75 --scales 1.0 --scales 1.25 --scales 1.75 -- "$@"
