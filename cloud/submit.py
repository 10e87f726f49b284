"""Submit a job, follow it and fetch its results; rehearse it at home. `python cloud/submit.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])


def main(argv: list[str] | None = None) -> int:
    from cloud.one_line import one_line_errors

    words = sys.argv[1:] if argv is None else argv
    return one_line_errors(lambda: run(words), debug="--debug" in words)


def run(words: list[str]) -> int:
    from cloud import command_line

    args = command_line.parse(words)
    from cloud.commands import COMMANDS

    return COMMANDS[args.command](args)


if __name__ == "__main__":
    sys.exit(main())
