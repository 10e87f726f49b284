#!/usr/bin/env bash
# Evaluate on several Ascend cards of this server; with RANK_TABLE "-" or DEVICE_TARGET=CPU on CPU ranks.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 DEVICE_NUM RANK_TABLE NET DATASET DATA CKPT" 6 6 "$@"
set -- "${POSITIONAL[@]}"
need_count "$1"
default=Ascend
[[ "$2" != - ]] || default=CPU
target="$(wanted_target "$default")"
[[ "$target" != Ascend ]] || need_path RANK_TABLE "$2"
job "$3" "$4" "$5" "${6:-}" "$target" 1
distribute "$1" "$target" "$2" eval.py
