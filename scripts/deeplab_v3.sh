# Shared by DeepLabV3's scripts; source it. The values are those of the model's documents; flags behind the others win.
# shellcheck shell=bash
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
CROPS=(--crop_size 513 --min_scale 0.5 --max_scale 2.0 --ignore_label 255 --num_classes 21)

# train_job MODEL BATCH LR EPOCHS LOSS_SCALE SAVE_STEPS KEEP DISTRIBUTED TARGET: sets JOB from POSITIONAL and FLAGS.
train_job() {
  need_path DATA_FILE "${POSITIONAL[0]}"
  JOB=(--model "$1" --dataset voc --data_file "${POSITIONAL[0]}" --enable_modelarts False "${CROPS[@]}" --batch_size "$2"
    --base_lr "$3" --lr_type cos --train_epochs "$4" --loss_scale "$5" --save_steps "$6" --keep_checkpoint_max "$7"
    --is_distributed "$8")
  if [[ -n "${POSITIONAL[1]:-}" ]]; then need_path CKPT "${POSITIONAL[1]}"; JOB+=(--ckpt_pre_trained "${POSITIONAL[1]}"); fi
  JOB+=(${FLAGS[@]+"${FLAGS[@]}"})
  [[ " ${JOB[*]}" == *" --device_target"* ]] || JOB+=(--device_target "$9")
}

# train_stage SETTINGS(7) ARGS...: all cards of this server, or CPU ranks without a rank table.
train_stage() {
  local settings=("${@:1:7}") count table default=Ascend target
  shift 7
  split "$0 DATA_FILE CKPT [DEVICE_NUM=8 [RANK_TABLE=-]]" 2 4 "$@"
  count="${POSITIONAL[2]:-8}" table="${POSITIONAL[3]:--}"
  need_count "$count"
  [[ "$table" != - ]] || default=CPU
  target="$(wanted_target "$default")"
  [[ "$target" != Ascend ]] || need_path RANK_TABLE "$table"
  train_job "${settings[@]}" 1 "$target"
  distribute "$count" "$target" "$table" train.py
}

# train_alone TARGET SETTINGS(7) ARGS...: one device, from weights or from none.
train_alone() {
  local target="$1" settings=("${@:2:7}")
  shift 8
  split "$0 DATA_FILE [CKPT]" 1 2 "$@"
  train_job "${settings[@]}" 0 "$(wanted_target "$target")"
  exec "$PYTHON" "$ROOT/train.py" "${JOB[@]}"
}

# evaluate MODEL MORE.. -- ARGS...: one device; what it says also goes to $EVAL_PATH/eval_log.
evaluate() {
  local model="$1" more=()
  shift
  while [[ "$1" != -- ]]; do more+=("$1"); shift; done
  shift
  split "$0 DATA_ROOT DATA_LST CKPT" 3 3 "$@"
  need_path DATA_ROOT "${POSITIONAL[0]}"
  need_path DATA_LST "${POSITIONAL[1]}"
  need_path CKPT "${POSITIONAL[2]}"
  EVAL_PATH="${EVAL_PATH:-output/eval}"
  mkdir -p "$EVAL_PATH" || die "EVAL_PATH '$EVAL_PATH' can't be made"
  "$PYTHON" "$ROOT/eval.py" --model "$model" --dataset voc --data_root "${POSITIONAL[0]}" --data_lst "${POSITIONAL[1]}" \
    --ckpt_path "${POSITIONAL[2]}" --enable_modelarts False --is_distributed 0 --batch_size 16 --crop_size 513 \
    --ignore_label 255 --num_classes 21 --freeze_bn "${more[@]}" ${FLAGS[@]+"${FLAGS[@]}"} 2>&1 | tee "$EVAL_PATH/eval_log"
}
