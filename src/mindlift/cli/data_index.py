"""List a folder of a bucket once for all: mindlift data index obs://bucket/photos/ --out obs://bucket/photos.index.gz"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli.words import words
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.language import localized
from mindlift.option_parser import ArgumentParser
from mindlift.storage.url import is_remote, local_path


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift data index",
        description="Write names, sizes and ETags of a folder in a bucket to a file, which --data_index of train.py and"
        " eval.py reads instead of listing the folder (with --stage stream or auto). It says nothing of what is written"
        " there later: changed files are fetched as they are, and named; new ones are not seen.",
    )
    found.add_argument("url", metavar="URL", help="the folder, such as obs://bucket/photos/")
    found.add_argument("--out", required=True, metavar="PLACE", help="the index: a local file, or a URL")
    found.add_argument("--debug", action="store_true", help="show tracebacks")
    return found


def index(args: argparse.Namespace) -> None:
    from mindlift.model_utils.streaming import data_index
    from mindlift.storage.copying.copy import copy_file
    from mindlift.storage.copying.progress import as_bytes

    if not is_remote(args.url):
        raise ConfigError(
            f"{args.url} is not in a bucket; an index is of a folder such as obs://bucket/photos/"
        )
    if args.out.endswith("/") or Path(expanded(args.out)).is_dir():
        raise ConfigError(f"--out {args.out} is a folder; name a file, such as photos.index.gz")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "index.gz") if is_remote(args.out) else Path(expanded(local_path(args.out)))
        files, size = data_index.write_listing(made, args.url, print_line)
        if is_remote(args.out):
            copy_file(str(made), args.out)
    print(
        localized(
            f"{files:,} files, {as_bytes(size)}, of {args.url} in {time.monotonic() - started:.1f} s: {args.out}"
        )
    )
    print(localized(f"next: train.py --data_url {args.url} --stage stream --data_index {args.out} ..."))


def print_line(line: str) -> None:
    print(localized(line), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    from mindlift.cli import program

    args = parser().parse_args(words(argv))
    return program.main(lambda: index(args), debug=args.debug)
