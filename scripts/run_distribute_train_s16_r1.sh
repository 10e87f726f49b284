#!/usr/bin/env bash
# DeepLabV3, stage 1: output stride 16 on VOCaug, from ResNet-101's ImageNet weights.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/deeplab_v3.sh"
train_stage deeplab_v3_s16 32 0.08 300 3072 410 200 "$@"
