"""Submit a job, follow it and fetch its results; rehearse it at home. `python cloud/submit.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli.errors import one_line_errors

    words = sys.argv[1:] if argv is None else argv
    return one_line_errors(lambda: run(words), debug="--debug" in words)


def run(words: list[str]) -> int:
    from mindlift.cli import job_arguments

    args = job_arguments.parse(words)
    from mindlift.cli.job_commands import COMMANDS

    return COMMANDS[args.command](args)


if __name__ == "__main__":
    sys.exit(main())
