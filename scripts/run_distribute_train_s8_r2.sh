#!/usr/bin/env bash
# DeepLabV3, stage 3: output stride 8 on VOC's own training images, from stage 2.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
train_stage deeplab_v3_s8 16 0.008 300 2048 110 200 "$@"
