"""Reads every YAML recipe of a folder, such as mindcv's configs, by --config_path, and counts what became of their keys.

python benchmarks/mindcv_recipes.py DIR [--each]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import yaml

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="print what each recipe's training goes without")
    args = parser.parse_args()
    keys, named, refused, whole = Counter(), Counter(), Counter(), 0
    files = sorted(args.folder.rglob("*.y*ml"))
    for file in files:
        keys.update(list(yaml.safe_load(file.read_text(encoding="utf-8"))))
        try:
            note = config.left_out_of_recipe(config.load(["--config_path", str(file)]))
        except ConfigError as err:
            refused[str(err).partition(": ")[2]] += 1
            continue
        whole += not note
        left = note.partition("goes without: ")[2]
        named.update(item.partition(" ")[0] for item in left.split(", ") if item)
        if args.each and note:
            print(note)
    print(
        f"{len(files)} recipes, {sum(keys.values())} keys of {len(keys)} names; read: {len(files) - refused.total()}"
    )
    print(
        f"without anything left out: {whole}; named: {sum(named.values())} keys: {dict(named.most_common())}"
    )
    for reason, count in refused.most_common():
        print(f"refused: {count} x {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
