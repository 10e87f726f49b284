"""The command line of cloud/submit.py: a command, and every key of a job file as a flag."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from mindlift import __version__
from mindlift.cli.local_paths import local
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import FIELDS
from mindlift.cloud.json_types import Json
from mindlift.language import N_, gettext
from mindlift.option_parser import ArgumentParser, InLanguage

ABOUT = {
    "plan": "show what submitting would do, without sending anything",
    "submit": "send the code, create the job, print its handle",
    "status": "show the state of a job",
    "logs": "print the log of a job; -f follows it, continuing where it stopped",
    "wait": "wait until a job ends: exit code 0 succeeded, 1 failed or stopped, 3 still running at --timeout",
    "cancel": N_("end a job"),
    "list": "list my jobs, newest first",
    "top": "watch my jobs: a table of phase, step, loss, accuracy and time left (also: watch)",
    "fetch": "download the results: a run folder that eval.py takes",
    "selfcheck": "check whether this computer and account can submit",
    "probe": "send a service every request of this client that changes nothing, and record its answers without names",
}
ALIASES = {"watch": "top"}
MANY = {"mapping": "KEY=VALUE", "names": "NAME", "words": "WORD"}
ON_A_PROGRAM = ("plan", "submit")
ON_A_JOB = ("status", "logs", "wait", "cancel", "fetch")
ACCOUNT = ("provider", "endpoint", "region", "project_id", "workspace_id")
MACHINES = (
    "platform",
    "cards",
    "nodes",
    "flavor",
    "pool_id",
    "engine",
    "image",
    "cluster",
    "spec",
    "repo",
    "branch",
)
# The keys of a job file that a command has a use for; all of them where it is not listed. A handle says the rest.
KEYS = {
    **dict.fromkeys(ON_A_JOB, ("endpoint",)),
    **dict.fromkeys(("list", "top"), ACCOUNT),
    "selfcheck": (*ACCOUNT, *MACHINES, "code", "boot_file", "paths", "isolation", "train_url"),
    "probe": (*ACCOUNT, *MACHINES, "code", "boot_file", "name", "datasets", "models"),
}
EXAMPLES = """examples:
  python cloud/submit.py plan --config cloud/jobs/densenet121_8p.yaml
  python cloud/submit.py --provider modelarts --config cloud/jobs/densenet121_8p.yaml --wait
  python cloud/submit.py mindcv/train.py --inputs data_dir=obs://bucket/imagenet/ -- --model=resnet50
  python cloud/submit.py logs -f modelarts://cn-north-4/PROJECT/JOB"""


class Parser(ArgumentParser):
    """Mistakes are JobErrors: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        program = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
        if program.endswith(".py"):
            raise JobError(
                f"{program} stands behind options; write it before them: {self.prog} {program} ..."
            )
        raise JobError(f"{message}; {self.prog} --help lists the options")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; options or a program without a command mean submit, and nothing at all asks for help."""
    words = list(argv)
    if not words or words[0] in ("-h", "--help"):
        main_parser().parse_args(words or ["--help"])
    if words[0] == "--version":
        main_parser().parse_args(words)
    if words[0].startswith("-") or words[0].endswith(".py"):
        words.insert(0, "submit")
    words[0] = ALIASES.get(words[0], words[0])
    if words[0] not in ABOUT:
        raise JobError(f"{words[0]!r} is not a command; choose one of {', '.join(ABOUT)}")
    if words[0] not in ON_A_PROGRAM:
        return parser_of(words[0]).parse_args(words[1:], argparse.Namespace(subcommand=words[0]))
    words, args = split(words)
    program = words.pop(1) if len(words) > 1 and not words[1].startswith("-") else ""
    found = parser_of(words[0]).parse_args(words[1:], argparse.Namespace(subcommand=words[0]))
    return named(found, program, args)


def split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before `--`, and those behind it; None where there is no `--`."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def named(found: argparse.Namespace, program: str, args: list[str] | None) -> argparse.Namespace:
    """`PROGRAM -- ARGS` as keys of the job file."""
    if program and found.code is None:
        found.code, found.boot_file = os.path.split(program)
        found.code = found.code or "."
    elif program:
        found.boot_file = program
    if args is not None:
        found.args = args
    return found


def main_parser() -> ArgumentParser:
    lines = "\n".join(f"  {name:10} {gettext(about)}" for name, about in ABOUT.items())
    about = gettext("Submit, follow and fetch training jobs; rehearse them at home.")
    more = gettext("`submit.py COMMAND --help` lists the options of each.")
    parser = Parser(
        prog="submit.py",
        usage="submit.py [COMMAND] [options]",
        is_raw=True,
        description=InLanguage(f"{about}\n\n{gettext('commands')}:\n{lines}\n\n{more}"),
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"mindlift {__version__}")
    return parser


def parser_of(command: str) -> ArgumentParser:
    parser = Parser(
        prog=f"submit.py {command}",
        usage=f"submit.py {command} [PROGRAM] [options] [-- arguments of PROGRAM]"
        if command in ON_A_PROGRAM
        else None,
        description=ABOUT[command],
        allow_abbrev=False,
        argument_default=None,
    )
    if command in ON_A_JOB:
        parser.add_argument(
            "handle", help="as submit and list print it, such as local://densenet100-digits-1123-101500"
        )
    parser.add_argument(
        "--config",
        type=local,
        default="",
        metavar="FILE",
        help="job file, such as cloud/jobs/densenet121_8p.yaml",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    add_own(parser, command)
    keys = parser.add_argument_group("keys of the job file (flags override the file)")
    for name in KEYS.get(command, FIELDS):
        field = FIELDS[name]
        about = field.metadata
        choices = f" ({', '.join(about['choices'])})" if about["choices"] else ""
        keys.add_argument(
            f"--{name}",
            nargs="+" if about["kind"] in MANY else None,
            metavar=MANY.get(about["kind"], "X"),
            help=(gettext(about["help"]) + choices).replace("%", "%%"),
        )
    return parser


def add_own(parser: ArgumentParser, command: str) -> None:
    """The options that only this command has."""
    if command in ("plan", "status", "list", "selfcheck", "top"):
        parser.add_argument("--json", action="store_true", help="print JSON")
    if command == "plan":
        parser.add_argument(
            "--offline", action="store_true", help="skip checks that need the service or the store"
        )
    if command in ("submit", "logs", "wait", "cancel"):
        parser.add_argument(
            "--timeout", type=seconds, default=float("inf"), metavar="S", help="follow for at most this long"
        )
    if command == "submit":
        parser.add_argument("--wait", action="store_true", help="follow to the end, then fetch")
        parser.add_argument(
            "--queue", action="store_true", help="wait while my jobs fill the limit of the service"
        )
        parser.add_argument("--yes", action="store_true", help="agree to a cost above max_cost")
    if command == "cancel":
        parser.add_argument("--wait", action="store_true", help="until it has ended")
    if command == "logs":
        parser.add_argument("-f", "--follow", action="store_true", help="follow until the job ends")
        parser.add_argument(
            "--all", action="store_true", help="from the first line, even if the log was followed before"
        )
        parser.add_argument("--node", type=int, metavar="N", help="only this node's log, counted from 0")
    if command == "probe":
        parser.add_argument("--job", default="", metavar="HANDLE", help="also ask about this job")
        parser.add_argument(
            "--out",
            type=local,
            default="",
            metavar="FILE",
            help="output file; '': probe-<provider>-<date>.yaml",
        )
    if command == "top":
        parser.add_argument(
            "--interval", type=seconds, default=3.0, metavar="S", help="seconds between updates"
        )
        parser.add_argument("--once", action="store_true", help="print the table once")
    if command in ("list", "top"):
        parser.add_argument(
            "--state", nargs="+", default=[], metavar="PHASE", help="only jobs in these phases"
        )
        parser.add_argument(
            "--limit", type=positive, default=50, metavar="N", help="only the newest N, 50 by default"
        )
    if command == "list":
        parser.add_argument(
            "--best",
            action="store_true",
            help="also the best checkpoint of each job's run, which takes a few requests to the bucket for each",
        )
    if command in ("fetch", "submit"):
        which = parser.add_mutually_exclusive_group()
        for name, about in (
            ("latest", "the newest checkpoint (default)"),
            ("best", "the most accurate one"),
            ("all", "all of them"),
            ("none", "no checkpoint: what a report needs"),
        ):
            which.add_argument(
                f"--{name}", dest="which", action="store_const", const=name, default="latest", help=about
            )
        parser.add_argument(
            "--out", type=local, default="", metavar="DIR", help="output folder; '': output/cloud/<job>/"
        )
        parser.add_argument(
            "--results_timeout",
            type=seconds,
            default=600.0,
            metavar="S",
            help="wait so long for results that a service still moves",
        )


def seconds(text: str) -> float:
    value = float(text)
    if not value >= 0:  # not a number, too
        raise ValueError
    return value


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def flags(args: argparse.Namespace) -> dict[str, Json]:
    """The keys of the job file that were given as flags."""
    return {name: value for name, value in vars(args).items() if name in FIELDS and value is not None}
