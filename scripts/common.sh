# Shared by the scripts beside it; source it. Logs go to $LOG_DIR, or to a new folder below ./output/logs.
# shellcheck shell=bash
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -z "${PYTHON:-}" ]]; then
  PYTHON=python3
  [[ ! -x "$ROOT/.venv/bin/python" ]] || PYTHON="$ROOT/.venv/bin/python"
fi
export PYTHONUNBUFFERED=1 GLOG_v="${GLOG_v:-3}" # MindSpore's errors only

die() { echo "$(basename "$0"): $*" >&2; exit 2; }

need_count() { [[ "$1" =~ ^[1-9][0-9]*$ ]] || die "DEVICE_NUM '$1': expected a number from 1 on"; }
need_path() { [[ -e "$2" ]] || die "$1 '$2' does not exist"; }

# split USAGE LEAST MOST ARGS...: sets POSITIONAL and FLAGS (all from the first --flag on).
split() {
  local usage="$1" least="$2" most="$3"
  shift 3
  POSITIONAL=() FLAGS=()
  while (($#)) && [[ "$1" != --* ]]; do POSITIONAL+=("$1"); shift; done
  FLAGS=("$@")
  if ((${#POSITIONAL[@]} < least || ${#POSITIONAL[@]} > most)); then
    echo "usage: $usage [--flag value ...]" >&2
    exit 2
  fi
}

# wanted_target DEFAULT: `--device_target X` among FLAGS, else $DEVICE_TARGET, else DEFAULT.
wanted_target() {
  local found="${DEVICE_TARGET:-$1}" i
  for ((i = 0; i < ${#FLAGS[@]}; i++)); do
    case "${FLAGS[i]}" in
      --device_target=*) found="${FLAGS[i]#*=}" ;;
      --device_target) found="${FLAGS[i + 1]:-}" ;;
    esac
  done
  echo "$found"
}

# job NET DATASET DATA CKPT TARGET DISTRIBUTED: sets JOB, the arguments of train.py and eval.py.
job() {
  need_path DATA "$3"
  JOB=(--net "$1" --dataset "$2" --data_dir "$3" --is_distributed "$6" --enable_modelarts False)
  if [[ -n "$4" ]]; then need_path CKPT "$4"; JOB+=(--pretrained "$4"); fi
  JOB+=(${FLAGS[@]+"${FLAGS[@]}"})
  [[ " ${JOB[*]}" == *" --device_target"* ]] || JOB+=(--device_target "$5")
}

new_logs() {
  LOGS="${LOG_DIR:-output/logs/$(date +%Y%m%d_%H%M%S)_$$}"
  mkdir -p "$LOGS" || die "LOG_DIR '$LOGS' can't be made"
  LOGS="$(cd "$LOGS" && pwd)"
}

# report RANK CODE LOG: what failed and where to read on; rank 0 was on the terminal already.
report() {
  echo "$(basename "$0"): rank $1 ended with exit code $2; its log is $3" >&2
  [[ "$1" == 0 ]] || tail -n 20 "$3" >&2
}

show_new() { # FILE: what was added since the last call
  [[ -f "$1" ]] || return 0
  local size; size=$(($(wc -c < "$1")))
  ((size > SHOWN)) || return 0
  tail -c "+$((SHOWN + 1))" "$1" | head -c "$((size - SHOWN))" || true
  SHOWN=$size
}

# run_msrun N SCRIPT ARGS...: N ranks on this machine; the code of the first rank that failed.
# msrun returns 1 whatever a rank returned, and waits for its scheduler after a rank died before joining:
# the `python` that it finds first on PATH is a wrapper that notes each rank's code.
run_msrun() {
  local count="$1" port pid seen rank code ended=0
  shift
  new_logs
  PYTHON="$(command -v "$PYTHON")" || die "PYTHON '$PYTHON' is not a program"
  mkdir -p "$LOGS/bin"; rm -f "$LOGS/exit_codes" "$LOGS"/worker_*.log
  printf '#!/usr/bin/env bash\n[[ "$MS_ROLE" == MS_WORKER ]] || exec %q "$@"\n%q "$@"\ncode=$?\n' \
    "$PYTHON" "$PYTHON" > "$LOGS/bin/python"
  printf 'echo "$RANK_ID $code" >> %q\nexit $code\n' "$LOGS/exit_codes" >> "$LOGS/bin/python"
  chmod +x "$LOGS/bin/python"
  port="$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
  unset MS_ROLE MS_NODE_ID RANK_ID RANK_SIZE RANK_TABLE_FILE DEVICE_ID ASCEND_DEVICE_ID
  PATH="$LOGS/bin:$PATH" "$PYTHON" -m mindspore.parallel.cluster.run --worker_num="$count" \
    --local_worker_num="$count" --master_port="$port" --log_dir="$LOGS" --join=True "$@" > "$LOGS/msrun.log" 2>&1 &
  pid=$! SHOWN=0
  trap 'kill -INT "$pid" 2>/dev/null; wait "$pid" || true; exit 130' INT TERM # msrun then ends its ranks
  while kill -0 "$pid" 2>/dev/null; do
    show_new "$LOGS/worker_0.log"
    seen="$(cat "$LOGS/exit_codes" 2>/dev/null || true)"
    if grep -q ' [1-9]' <<< "$seen"; then ended=$((ended + 3)); fi # failed: about 4 s to end the others
    if (($(grep -c . <<< "$seen") == count)); then ended=$((ended + 1)); fi # all done: about 12 s
    ((ended < 40)) || kill -INT "$pid" 2>/dev/null || true
    sleep 0.3
  done
  trap - INT TERM
  code=0; wait "$pid" || code=$?
  show_new "$LOGS/worker_0.log"
  read -r rank seen < <(grep -v ' 0$' "$LOGS/exit_codes" 2>/dev/null) || rank=""
  if [[ -n "$rank" ]]; then report "$rank" "$seen" "$LOGS/worker_$rank.log"; return "$seen"; fi
  (($(cat "$LOGS/exit_codes" 2>/dev/null | wc -l) < count)) || return 0
  echo "$(basename "$0"): msrun ended with code $code before all ranks did; logs in $LOGS" >&2
  tail -n 5 "$LOGS/msrun.log" >&2
  return $((code ? code : 1))
}

# run_cards N TABLE SCRIPT ARGS...: one process per Ascend card; the code of the first rank that failed.
run_cards() {
  local count="$1" table="$2" i pids=() left code
  shift 2
  new_logs
  table="$(cd "$(dirname "$table")" && pwd)/$(basename "$table")"
  for ((i = 0; i < count; i++)); do
    RANK_TABLE_FILE="$table" RANK_SIZE="$count" RANK_ID="$i" DEVICE_ID="$i" \
      "$PYTHON" "$@" > "$LOGS/rank_$i.log" 2>&1 &
    pids[i]=$!
  done
  echo "$count ranks, logs: $LOGS/rank_*.log"
  SHOWN=0
  trap 'kill "${pids[@]}" 2>/dev/null; exit 130' INT TERM
  while left=0; true; do
    show_new "$LOGS/rank_0.log"
    for ((i = 0; i < count; i++)); do
      [[ -n "${pids[i]:-}" ]] || continue
      if kill -0 "${pids[i]}" 2>/dev/null; then left=1; continue; fi
      code=0; wait "${pids[i]}" || code=$?
      unset "pids[i]"
      if ((code)); then
        ((${#pids[@]} == 0)) || end_all "${pids[@]}"
        show_new "$LOGS/rank_0.log"
        report "$i" "$code" "$LOGS/rank_$i.log"
        return "$code"
      fi
    done
    ((left)) || break
    sleep 0.5
  done
  trap - INT TERM
  show_new "$LOGS/rank_0.log"
}

end_all() { # PIDS...: asks first, and kills what is left after 15 s, as ModelArts does
  local waited
  kill "$@" 2>/dev/null || true
  for ((waited = 0; waited < 30; waited++)); do kill -0 "$@" 2>/dev/null || return 0; sleep 0.5; done
  kill -KILL "$@" 2>/dev/null || true
}

# distribute N TARGET TABLE SCRIPT: Ascend cards by rank table, everything else through msrun.
distribute() {
  if [[ "$2" == Ascend ]]; then run_cards "$1" "$3" "$ROOT/$4" "${JOB[@]}"; else run_msrun "$1" "$ROOT/$4" "${JOB[@]}"; fi
}
