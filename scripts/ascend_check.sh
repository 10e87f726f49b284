#!/usr/bin/env bash
# A first hour on a card: runs every part once and writes one file to send back; --help says more, docs/ascend.md most.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec "${MINDLIFT[@]}" ascend_check "$@"
