#!/usr/bin/env bash
# Write images and labels of a list to MindRecord shards; takes the flags of src/data/build_seg_data.py.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
split "$0 [DATA_ROOT DATA_LST DST_PATH]" 0 3 "$@"
set -- "${POSITIONAL[@]}"
(($# == 0 || $# == 3)) || die "expected DATA_ROOT DATA_LST DST_PATH, found $# of them; or use --data_root, --data_lst, --dst_path"
ARGS=(--num_shards=8 --shuffle=True)
(($# == 0)) || ARGS+=("--data_root=$1" "--data_lst=$2" "--dst_path=$3")
exec "$PYTHON" "$ROOT/src/data/build_seg_data.py" "${ARGS[@]}" ${FLAGS[@]+"${FLAGS[@]}"}
