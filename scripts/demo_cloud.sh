#!/usr/bin/env bash
# A cloud job from its plan to its evaluated checkpoint, on this computer: two ranks in a ModelArts container, a
# bucket of its own whose images are streamed, and a rank that is killed on the way. Under six minutes on two cores.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # as `sh` is dash on Debian and Ubuntu
set -euo pipefail
(($# == 0)) || { echo "usage: [KEEP=1] $0" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON="${PYTHON:-.venv/bin/python}"
folder="$(mktemp -d)"
export MINDLIFT_REHEARSALS="$folder/rehearsals"
export MINDLIFT_LANG=en # what the programs say is read below
name="demo-$(date +%m%d-%H%M%S)"
handle="local://$name"
photos="$folder/photos"
job=(--config cloud/jobs/photos_2p.yaml --data_url "$photos" --name "$name" --train_url "obs://mindlift/runs/$name/" --allow_dirty true)
submit() { "$PYTHON" cloud/submit.py "$@"; }
title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '$ python cloud/submit.py %s\n' "$*" | sed "s|${job[*]}|--config cloud/jobs/photos_2p.yaml|"; submit "$@"; }
clean() { submit cancel "$handle" > /dev/null 2>&1 || true; [[ -n "${KEEP:-}" ]] || rm -rf "$folder"; }
trap clean EXIT

title "The digits as 1,797 PNG files in class folders, for the bucket"
PYTHONPATH=src "$PYTHON" - "$photos" << 'END'
import sys
from pathlib import Path

from PIL import Image

from mindlift.data.class_names import DIGITS
from mindlift.data.embedded.digits import enlarge, split_digits

for split, digits in zip(("train", "val"), split_digits()):
    for number, (image, digit) in enumerate(zip(digits.images, digits.classes)):
        folder = Path(sys.argv[1], split, DIGITS[digit])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(enlarge(image)).save(folder / f"{number:04}.png")
END

title "What would happen, before anything does (the plan's checks)"
submit plan "${job[@]}" | sed -n '/^command of each process/,/^$/p; /^  node 0/p; /^checks/,$p'

title "Submit, and follow it"
run submit "${job[@]}"
submit logs -f "$handle" &
follower=$!

# The story needs an accident: rank 1 is killed once the second epoch is under way.
log="$MINDLIFT_REHEARSALS/$name/logs/worker-0.log"
until grep -q '^epoch 2 of ' "$log" 2> /dev/null; do kill -0 "$follower" 2> /dev/null || exit 1; sleep 0.5; done
victim="$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))[2]["pid"])' "$MINDLIFT_REHEARSALS/$name/supervisor.json")"
title "kill -9 $victim, which is rank 1"
kill -KILL "$victim"
wait "$follower"

title "What became of it"
run status "$handle"
title "Fetch the results, each file checked against the manifest"
run fetch "$handle" --out "$folder/fetched"
title "Evaluate the fetched checkpoint"
"$PYTHON" eval.py --data_dir "$photos" --pretrained "$(ls -d "$folder"/fetched/2*)" 2> /dev/null | grep '^validation: '
