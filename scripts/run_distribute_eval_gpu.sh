#!/usr/bin/env bash
# Evaluate on several GPUs of this server (needs a MindSpore build with CUDA); DEVICE_TARGET=CPU: on CPU ranks.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 DEVICE_NUM VISIBLE_DEVICES NET DATASET DATA CKPT" 6 6 "$@"
set -- "${POSITIONAL[@]}"
need_count "$1"
[[ "$2" =~ ^[0-9]+(,[0-9]+)*$ ]] || die "VISIBLE_DEVICES '$2': expected numbers such as 0,1,2,3"
export CUDA_VISIBLE_DEVICES="$2"
target="$(wanted_target GPU)"
[[ "$target" != Ascend ]] || die "--device_target Ascend: use run_distribute_eval.sh"
job "$3" "$4" "$5" "${6:-}" "$target" 1
distribute "$1" "$target" "" eval.py
