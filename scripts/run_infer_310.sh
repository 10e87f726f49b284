#!/usr/bin/env bash
# DeepLabV3 from an exported model, image by image: result_Files, time_Result, infer.log and acc.log in the working
# directory, as the model zoo's script leaves them. DEVICE_TARGET=Ascend, GPU or CPU chooses the device, and
# RUNTIME=lite or mindspore what runs the model: on Ascend 310 only MindSpore Lite does. It is taken where it is installed.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 MINDIR DATA_PATH DATA_ROOT DATA_LIST [DEVICE_ID=0]" 4 5 "$@"
((${#FLAGS[@]} == 0)) || die "unknown flag ${FLAGS[0]}"
set -- "${POSITIONAL[@]}"
need_path MINDIR "$1"
need_path DATA_ROOT "$3"
need_path DATA_LIST "$4"
echo "mindir name: $1"
echo "dataset path: $2 (not read: DATA_LIST's paths are below DATA_ROOT)"
echo "data root path: $3"
echo "data list path: $4"
echo "device id: ${5:-0}"
"${MINDLIFT[@]}" infer_mindir --mindir_path "$1" --dataset_path "$3" --image_list "$4" \
  --device_type "${DEVICE_TARGET:-auto}" --device_id "${5:-0}" --runtime "${RUNTIME:-auto}" > infer.log 2>&1 ||
  { code=$?; tail -n 1 infer.log >&2; exit "$code"; }
tail -n 1 infer.log
"$PYTHON" "$ROOT/postprocess.py" --data_root "$3" --data_lst "$4" --scales 1.0 --result_path ./result_Files 2>&1 | tee acc.log
