"""Submit a job, follow it and fetch its results; rehearse it at home. `cloud/submit.py`, and `mindlift submit` and so on."""

from __future__ import annotations

from collections.abc import Sequence

from mindlift.cli.words import words as command_line


def main(argv: Sequence[str] | None = None) -> int:
    from mindlift.cli.errors import one_line_errors

    words = command_line(argv)
    return one_line_errors(lambda: run(words), debug="--debug" in words)


def run(words: list[str]) -> int:
    from mindlift.cli import job_arguments

    args = job_arguments.parse(words)
    from mindlift.cli.job_commands import COMMANDS

    return COMMANDS[args.subcommand](args)
