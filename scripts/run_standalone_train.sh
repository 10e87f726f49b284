#!/usr/bin/env bash
# DeepLabV3 on one Ascend card.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
train_alone Ascend deeplab_v3_s16 32 0.015 200 3072 1500 200 "$@"
