"""The command line: `mindlift report RUN [RUN ...]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli import ending
from mindlift.cli.local_paths import local
from mindlift.option_parser import ArgumentParser

RUNS = "output/"  # of --ckpt_path
EXAMPLES = """examples:
  mindlift report                                              the newest run in output/
  mindlift report outputs_imagenet                             the newest run in a folder
  mindlift report RUN1 RUN2 obs://bucket/run3/ --out page.html      compared, one of them in a bucket
  mindlift report modelarts://cn-north-4/PROJECT/JOB               a job, while it goes on or later
  mindlift report RUN --to tensorboard --out events            then: tensorboard --logdir events"""


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift report",
        epilog=EXAMPLES,
        is_raw=True,
        description="Write a page that shows a run, or compares several; or turn runs into TensorBoard events or CSV.",
    )
    found.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        default=[RUNS],
        help="a run's folder, a folder of runs (its newest), obs://..., or the handle of a job; with --to tensorboard also"
        f" a .mindir file, for its graph; not given: {RUNS}, where train puts its runs",
    )
    found.add_argument("--to", choices=("page", "tensorboard", "csv"), default="page", help="what to write")
    found.add_argument(
        "--out",
        type=local,
        metavar="PLACE",
        help="file of the page (not set: report.html in the run, or here), or folder of the others (not set: RUN's name with -tensorboard or -csv, here)",
    )
    found.add_argument("--debug", action="store_true", help="show tracebacks")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from mindlift.cli import program

    return program.main(lambda: report(args), args.debug)


def report(args: argparse.Namespace) -> None:
    from mindlift.report import graph, sources

    models = [name for name in args.runs if graph.is_model(name)]
    if models:
        print(draw(args, models))
        return
    with sources.opened(args.runs) as roots:
        for written in convert(args, roots) if args.to != "page" else [page(args, roots)]:
            print(written)
        has_weights = sources.has_checkpoint(roots[0])
    ending.following(*following(args, has_weights))


def following(args: argparse.Namespace, has_weights: bool) -> list[list[str]]:
    if args.to == "tensorboard":
        return [["tensorboard", "--logdir", args.out or "."], ["mindlift", "report", *args.runs]]
    more = [
        "mindlift",
        "report",
        *args.runs,
        *(["RUN2"] if len(args.runs) == 1 else []),
        "--out",
        "compared.html",
    ]
    return [["mindlift", "predict", args.runs[0], "IMAGES"], more] if has_weights else [more]


def draw(args: argparse.Namespace, models: list[str]) -> Path:
    """The graph of one exported model."""
    from mindlift.errors import ConfigError
    from mindlift.report.convert import graph_to_tensorboard

    if args.to != "tensorboard" or len(args.runs) > 1:
        raise ConfigError(
            f"{models[0]} is a model: give it alone, with --to tensorboard, which shows its graph"
        )
    path = Path(models[0])
    return graph_to_tensorboard(path, (Path(args.out) if args.out else Path("graph-tensorboard")) / path.stem)


def page(args: argparse.Namespace, roots: list[Path]) -> Path:
    from mindlift.report import sources
    from mindlift.report.page import REPORT, write

    folder = roots[0] if len(roots) == 1 and sources.is_local(args.runs[0]) else Path()
    return write(roots, Path(args.out) if args.out else folder / REPORT)


def convert(args: argparse.Namespace, roots: list[Path]) -> list[Path]:
    from mindlift.report import convert as converting
    from mindlift.report.names import folder_names

    names = folder_names(roots)
    folder = Path(args.out) if args.out else Path(f"{roots[0].absolute().name}-{args.to}")
    write = {"tensorboard": converting.to_tensorboard, "csv": converting.to_csv}[args.to]
    return [write(root, folder / name) for root, name in zip(roots, names)]
