# Shared by the scripts beside it; source it. Logs go to $LOG_DIR, or to a new folder below ./output/logs.
# shellcheck shell=bash
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set +o posix # where `sh` is bash, it starts so, without <(...) before 5.1
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -z "${PYTHON:-}" ]]; then
  PYTHON=python3
  [[ ! -x "$ROOT/.venv/bin/python" ]] || PYTHON="$ROOT/.venv/bin/python"
fi
# Start of the command `mindlift` of this checkout, whatever the working directory calls its own packages.
MINDLIFT=("$PYTHON" -c 'import sys; sys.path[0] = sys.argv.pop(1); from mindlift.cli.main import main; sys.exit(main())' "$ROOT/src")
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

# say LINE: errors on stderr (file descriptor 4), the rest on stdout; what MindSpore notes while it exits stays in the log.
say() {
  case "$1" in
    "error: "* | "错误："*) SAID=1; echo "$1" >&4 ;;
    "[INFO] DISTRIBUTED("*) ;;
    *) printf '%s\n' "$1" ;;
  esac
}

show_new() { # whole lines that rank 0's log (file descriptor 3) has gained
  local line
  while IFS= read -r line <&3; do say "$PART$line"; PART=""; done
  PART+="$line"
}

# end_ranks SECONDS: asks the ranks to end, and kills what is left after SECONDS.
end_ranks() {
  local tenths=$(($1 * 10))
  ((${#PIDS[@]} == 0)) || kill "${PIDS[@]}" 2> /dev/null || true
  while ((${#PIDS[@]} && tenths-- > 0)) && kill -0 "${PIDS[@]}" 2> /dev/null; do sleep 0.1; show_new; done
  kill -KILL ${PIDS[@]+"${PIDS[@]}"} ${SCHEDULER:+"$SCHEDULER"} 2> /dev/null || true
  wait 2> /dev/null || true
  rm -rf "$LEAVING"
  PIDS=() SCHEDULER=""
  show_new
}

# stopped SIGNAL: the ranks get as long as ModelArts gives them to save a checkpoint.
stopped() {
  trap '' INT TERM HUP
  end_ranks 15
  echo "$(basename "$0"): stopped by SIG$1; the ranks have ended, logs in $LOGS" >&4
  exit $((128 + $(kill -l "$1")))
}

# report RANK CODE: one line for a mistake (code 2), which all ranks find alike; else also where to read on.
report() {
  local log="$LOGS/rank_$1.log" how="ended with exit code $2" line
  while ((!SAID)) && IFS= read -r line; do say "$line"; done < <(grep -E '^(error: |错误：)' "$log")
  ((!SAID || $2 != 2)) || return 0
  (($2 <= 128)) || how="was ended by SIG$(kill -l "$(($2 - 128))")"
  echo "$(basename "$0"): rank $1 $how; its log is $log" >&4
  ((SAID || $1 == 0)) || tail -n 20 "$log" >&4
}

# new_leaving: a folder in which ranks say that they are done; those of launchers that were killed go. The name tells
# whose it is, as mindlift.files.temporary_folder.
new_leaving() {
  local boot space folder owner
  boot="$(head -c 8 /proc/sys/kernel/random/boot_id 2> /dev/null)" || boot=0
  space="$boot$(readlink /proc/self/ns/pid | tr -dc 0-9)"
  for folder in "${TMPDIR:-/tmp}/mindlift-leaving-$space-"*; do
    owner="${folder##*"/mindlift-leaving-$space-"}"
    [[ ! "${owner%%-*}" =~ ^[0-9]+$ ]] || kill -0 "${owner%%-*}" 2> /dev/null || rm -rf "$folder"
  done
  LEAVING="$(mktemp -d "${TMPDIR:-/tmp}/mindlift-leaving-$space-$$-XXXXXX")"
}

# run_ranks N TABLE SCRIPT ARGS...: N ranks on this machine, rank 0 on the terminal and a log of each; the
# code of the first rank that failed. Ascend cards find each other by TABLE. Without one ("") they do so
# through a scheduler, which is the script once more, with the variables of MindSpore's msrun. msrun itself
# would hide the ranks' codes, kill them without letting them save, and wait for its scheduler at the end.
run_ranks() {
  local count="$1" table="$2" i code alone=0 own=()
  shift 2
  PYTHON="$(command -v "$PYTHON")" || die "PYTHON '$PYTHON' is not a program"
  new_logs
  new_leaving
  PIDS=() SCHEDULER="" PART="" SAID=0
  unset MS_ROLE MS_NODE_ID MS_WORKER_NUM RANK_ID RANK_SIZE RANK_TABLE_FILE DEVICE_ID ASCEND_DEVICE_ID
  : > "$LOGS/rank_0.log"
  exec 3< "$LOGS/rank_0.log" 4>&2 2> /dev/null # bash itself would report a killed rank, with its source line
  trap 'stopped INT' INT
  trap 'stopped TERM' TERM
  trap 'stopped HUP' HUP
  if [[ -n "$table" ]]; then
    RANK_TABLE_FILE="$(cd "$(dirname "$table")" && pwd)/$(basename "$table")"
    export RANK_TABLE_FILE
  else
    MS_SCHED_PORT="$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    export MS_SCHED_PORT MS_SCHED_HOST=127.0.0.1 MS_WORKER_NUM="$count"
    MS_ROLE=MS_SCHED "$PYTHON" "$@" > "$LOGS/scheduler.log" 2>&1 3<&- 4>&- &
    SCHEDULER=$!
  fi
  for ((i = 0; i < count; i++)); do
    own=(RANK_ID="$i" RANK_SIZE="$count") # which card is whose says the table, where there is one
    [[ -n "$table" ]] || own+=(DEVICE_ID="$i" MS_ROLE=MS_WORKER MS_NODE_ID="$i" MINDLIFT_LAUNCHER="$count:$LEAVING")
    env "${own[@]}" "$PYTHON" "$@" > "$LOGS/rank_$i.log" 2>&1 3<&- 4>&- &
    PIDS[i]=$!
  done
  while ((${#PIDS[@]})); do
    sleep 0.2
    show_new
    for i in "${!PIDS[@]}"; do
      ! kill -0 "${PIDS[i]}" 2> /dev/null || continue
      code=0
      wait "${PIDS[i]}" 2> /dev/null || code=$?
      unset "PIDS[i]"
      ((code)) || continue
      end_ranks 5
      report "$i" "$code"
      return "$code"
    done
    # it also ends when the ranks have taken leave of it, and they may need some seconds to end
    [[ -z "$SCHEDULER" ]] || kill -0 "$SCHEDULER" 2> /dev/null || alone=$((alone + 1))
    if ((alone > 100 && ${#PIDS[@]} == count)); then
      end_ranks 5
      echo "$(basename "$0"): the ranks' scheduler has ended; its log is $LOGS/scheduler.log" >&4
      return 1
    fi
  done
  end_ranks 0
}

# distribute N TARGET TABLE SCRIPT: Ascend cards by rank table, everything else through a scheduler.
distribute() {
  if [[ "$2" == Ascend ]]; then run_ranks "$1" "$3" "$ROOT/$4" "${JOB[@]}"; else run_ranks "$1" "" "$ROOT/$4" "${JOB[@]}"; fi
}
