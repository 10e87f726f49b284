#!/usr/bin/env bash
# Run a script as N ranks on the CPU of this machine; shows rank 0, keeps every rank's log in $LOG_DIR.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
(($# >= 2)) || { echo "usage: $0 N SCRIPT.py [arguments ...]" >&2; exit 2; }
[[ "$1" =~ ^[1-9][0-9]*$ ]] || die "N '$1': expected a number from 1 on"
need_path SCRIPT "$2"
run_ranks "$1" "" "${@:2}"
