#!/usr/bin/env bash
# DeepLabV3, stage 2: output stride 8 on VOCaug, from stage 1.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
train_stage deeplab_v3_s8 16 0.02 800 2048 820 200 "$@"
