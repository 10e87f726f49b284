"""The command line: `mindlift ui [FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mindlift.cli.local_paths import local_path
from mindlift.cloud.handle import PARTS
from mindlift.language import localized
from mindlift.option_parser import ArgumentParser

EXAMPLES = """examples:
  mindlift ui                                the runs below this folder, and the jobs of all providers
  mindlift ui output --providers local       without asking the services
  ssh -L 8800:127.0.0.1:8800 HOST mindlift ui --port 8800     of another computer, in the browser here"""


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift ui",
        epilog=EXAMPLES,
        is_raw=True,
        description="Show runs and jobs in the browser while they go on: curves, logs, errors, comparisons. Only this machine"
        " can open the page, and only by the address that is printed. Ctrl-C ends it.",
    )
    found.add_argument(
        "folder",
        nargs="?",
        type=local_path,
        default=".",
        metavar="FOLDER",
        help="the folder with the runs (.)",
    )
    found.add_argument(
        "--port", type=int, default=0, metavar="N", help="port of 127.0.0.1; not set: a free one"
    )
    found.add_argument(
        "--providers",
        nargs="*",
        choices=list(PARTS),
        default=list(PARTS),
        metavar="NAME",
        help=f"whose jobs to list: {', '.join(PARTS)} (all that this machine has keys for); nothing behind it: none",
    )
    found.add_argument("--debug", action="store_true", help="show tracebacks")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from mindlift.cli.errors import one_line_errors

    return one_line_errors(lambda: serve(args), args.debug)


def serve(args: argparse.Namespace) -> int:
    from pathlib import Path

    from mindlift.files import temporary_folder
    from mindlift.ui import server

    with temporary_folder("ui") as scratch, server.make(
        args.folder, args.port, args.providers, Path(scratch)
    ) as found:
        print(found.address, flush=True)
        print(localized("only this machine can open it; Ctrl-C ends it"), file=sys.stderr, flush=True)
        try:
            found.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0
