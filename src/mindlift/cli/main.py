"""The command `mindlift`: a table of its commands. Each imports what it needs when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from mindlift.cli.words import words as command_line
from mindlift.language import gettext, localized

# name -> (module:function, below mindlift.cli unless it is named in full; what it does)
COMMANDS = {
    "train": ("train:main", "train a network; --help lists the options"),
    "eval": ("eval:main", "evaluate checkpoints exactly"),
    "predict": ("predict:main", "classify or segment images"),
    "features": ("features:main", "write features of images, as the classifier sees them, to .npy or .npz"),
    "export": ("export:main", "write a trained network as MINDIR or ONNX"),
    "postprocess": ("postprocess:main", "evaluate the results of scripts/run_infer_310.sh"),
    "convert": (
        "convert:main",
        "convert other libraries' weights to MindLift's files, or list the tensors of a file",
    ),
    "weights": ("weights:main", "list published weights that have a name, or fetch them"),
    "run": ("run:main", "run any program with its data and results in a bucket"),
    "report": ("report:main", "show runs as one page, as TensorBoard events or as CSV"),
    "ui": ("ui:main", "show runs and jobs in the browser, while they go on"),
    "doctor": ("doctor:main", "check whether this machine can train"),
    "models": ("listing:models", "list the networks that --net takes"),
    "datasets": ("listing:datasets", "list the data sets that --dataset takes"),
    "recipes": ("listing:recipes", "list the recipes and the network and data set of each"),
    "providers": ("listing:providers", "list where jobs can run"),
    "rank_table": ("rank_table:main", "make, check and convert rank tables of Ascend jobs"),
    "moxing-path": (
        "listing:moxing_path",
        "print the folder that makes `import moxing` MindLift's, for PYTHONPATH",
    ),
    "infer_mindir": ("infer_mindir:main", "run an exported model on images, as Ascend 310 does"),
    "compare_checkpoints": ("compare_checkpoints:main", "compare two checkpoints tensor by tensor"),
    "ascend_check": ("mindlift.ascend_check.run:main", "run every part of the project once on a real card"),
}
DATA = {
    "index": (
        "data_index:main",
        "list a folder of a bucket once, for --data_index of trainings that stream it",
    ),
    "to_mindrecord": ("to_mindrecord:main", "convert class folders or CIFAR-10 to MindRecord shards"),
    "build_seg_data": (
        "build_seg_data:main",
        "convert the image and label pairs of a list to MindRecord shards",
    ),
    "get_dataset_lst": ("data_voc:get_dataset_lst", "make labels and lists of VOC 2012 and SBD"),
    "voc_labels": ("data_voc:voc_labels", "convert labels of VOC 2012 and SBD to class numbers"),
    "rand_augment_sheet": ("rand_augment_sheet:main", "draw RandAugment's operations as one picture"),
    "augmentation_sheets": ("augmentation_sheets:main", "draw what the other options of augmentation do"),
}
JOBS = (
    "submit",
    "plan",
    "status",
    "logs",
    "wait",
    "cancel",
    "list",
    "top",
    "watch",
    "fetch",
    "selfcheck",
    "probe",
)  # of cloud/submit.py; `mindlift COMMAND --help` says more
PROBLEM = "{} is not a command; `mindlift --help` lists them"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a command: 2 for the user's mistakes, 1 for failures."""
    words = command_line(argv)
    if not words or words[0] in ("-h", "--help"):
        print(help_text(), end="")
        return 0
    if words[0] == "--version":
        return run("listing:version", words[1:])
    name, rest = words[0], words[1:]
    if name in JOBS:
        return run("submit:main", words)
    if name == "data":
        if not rest or rest[0] in ("-h", "--help"):
            print(table(localized("usage: mindlift data COMMAND [options]"), DATA), end="")
            return 0
        name, rest, known = rest[0], rest[1:], DATA
    else:
        known = COMMANDS
    if name not in known:
        print(localized(f"error: {PROBLEM.format(repr(name))}"), file=sys.stderr)
        return 2
    return run(known[name][0], rest)


def run(target: str, words: Sequence[str]) -> int:
    module, _, function = target.partition(":")
    module = module if "." in module else f"mindlift.cli.{module}"
    try:
        code = int(getattr(importlib.import_module(module), function)(list(words)))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `mindlift recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as err:
        from mindlift.cli.errors import missing_package

        if "--debug" in words or not missing_package(err):
            raise
        print(localized(f"error: {missing_package(err)}"), file=sys.stderr)
        return 1


def help_text() -> str:
    from mindlift.cli.job_arguments import ABOUT

    jobs = {name: ("", about) for name, about in ABOUT.items()}
    return (
        table(
            localized(
                "usage: mindlift COMMAND [options]\n\nTrain vision models with MindSpore, here or in the cloud."
            ),
            COMMANDS,
        )
        + table("\n" + gettext("data"), {f"data {name}": entry for name, entry in DATA.items()})
        + table(localized("\njobs on ModelArts, OpenI or this machine"), jobs)
        + localized("\n`mindlift COMMAND --help` lists the options of each.\n")
    )


def table(title: str, entries: dict[str, tuple[str, str]]) -> str:
    return f"{title}\n" + "".join(f"  {name:24} {gettext(about)}\n" for name, (_, about) in entries.items())
