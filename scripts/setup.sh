#!/usr/bin/env bash
# setup.sh PYTHON MINDSPORE_VERSION VENV - create or update the virtual environment; no root needed.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
(($# == 3)) || { echo "usage: $0 PYTHON MINDSPORE_VERSION VENV" >&2; exit 2; }
python=$1 mindspore=$2 venv=$3
need_mb=3000

fail() { echo "setup: $*" >&2; exit 2; }

command -v "$python" > /dev/null || fail "no '$python' on PATH; install Python 3.9 - 3.12 or name one: make PYTHON=python3.11"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) ||
    fail "'$python' is on PATH but does not run; name another: make PYTHON=python3.11"
case $version in
    3.9 | 3.10 | 3.11 | 3.12) ;;
    *) fail "$python is Python $version, but MindSpore has wheels for 3.9 - 3.12; name another: make PYTHON=python3.11" ;;
esac
"$python" -c 'import venv, ensurepip' 2> /dev/null || fail "$python has no venv module; install it (Debian: apt install python3-venv)"
if [ ! -x "$venv/bin/python" ]; then
    free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge "$need_mb" ] || fail "$free_mb MB free in $PWD, but $need_mb MB are needed"
    echo "setup: creating $venv with Python $version"
    "$python" -m venv "$venv"
fi
echo "setup: installing requirements and MindSpore $mindspore (a few minutes and 3 GB the first time)"
while sleep 5 > /dev/null 2>&1; do printf .; done & # pip is quiet for minutes
dots=$!
trap 'kill $dots 2> /dev/null || true; echo' EXIT
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "mindspore==$mindspore" -r requirements.txt -r requirements-dev.txt &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable . ||
    fail "pip could not install the requirements (see above); is there a network, and does MindSpore $mindspore have a wheel for Python $version?"
printf '\nsetup: done; next: source %s/bin/activate' "$venv"
