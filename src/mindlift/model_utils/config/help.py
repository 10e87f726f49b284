"""The text of --help."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

from mindlift.columns import wrapped
from mindlift.language import gettext, localized
from mindlift.model_utils.config import programs
from mindlift.model_utils.config.options import Option, Value, as_yaml
from mindlift.model_utils.config.schema import SWITCHES, Schema

# Tests read them as the programs do.
EXAMPLES = {
    "train.py": (
        "python train.py",
        "python train.py --net densenet100 --dataset cifar10 --data_dir cifar-10-batches-bin",
        "python train.py --net resnet50 --data_dir DIR --pretrained resnet50.safetensors",
        "python train.py --enable_modelarts True --data_url obs://bucket/data/ --train_url obs://bucket/run1/",
    ),
    "eval.py": (
        "python eval.py",
        "python eval.py RUN",
        "python eval.py --pretrained RUN --all --data_dir DIR",
        "python eval.py --net densenet121 --dataset imagenet --data_dir DIR --pretrained FILE.ckpt",
    ),
    "export.py": (
        "python export.py RUN",
        "python export.py --net densenet121 --ckpt_file FILE.ckpt --file_name NAME --file_format ONNX",
    ),
    "predict.py": (
        "python predict.py RUN IMAGE_OR_FOLDER",
        "python predict.py RUN IMAGE_OR_FOLDER --output_csv FILE.csv --contact_sheet FILE.png",
        "python predict.py --model_file NAME.mindir IMAGE_OR_FOLDER",
    ),
    "mindlift features": (
        "mindlift features --ckpt_file RUN IMAGE_OR_FOLDER --output_features FILE.npz",
        "mindlift features --net resnet50 --ckpt_file FILE.pth IMAGE_OR_FOLDER --feature_stage 3",
    ),
}


def help_text(schema: Schema, defaults: Mapping[str, Value], about: str, prog: str) -> str:
    """The options of `prog` by group, wrapped to the terminal, with these defaults; `about` says whose they are."""
    width = max(40, shutil.get_terminal_size().columns)
    words = " [RUN] IMAGE ..." if programs.takes_inputs(prog) else ""
    lines = [localized(f"usage: {prog} [--option value ...]{words}"), ""]
    lines += wrapped(localized(about), width)
    for group, options in schema.groups.items():
        used = [option for option in options if programs.has_use(prog, option)]
        lines += ["", f"{gettext(group)}:"] if used else []
        for option in used:
            lines += help_lines(option, f"[{as_yaml(defaults[option.name])}]", width)
    lines.append("")
    for name in ("help", "version", "print_config"):
        lines += help_lines(Option(name, "", "bool", False, SWITCHES[name]), "", width)
    lines += [
        "",
        gettext("examples:"),
        *(line for example in EXAMPLES[prog] for line in command_lines(example, width)),
    ]
    return "\n".join(lines) + "\n"


def command_lines(command: str, width: int) -> list[str]:
    """A command as it can be pasted, continued by backslashes where the terminal ends."""
    lines = textwrap.wrap(
        command, width - 4, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
    return [f"  {line} \\" for line in lines[:-1]] + [f"  {lines[-1]}"]


def help_lines(option: Option, default: str, width: int) -> list[str]:
    """`--name  help [default]; choices: ...; also: ...`, wrapped."""
    text = f"{localized(option.help)} {default}".rstrip()
    if option.choices:
        text += gettext("; choices: {0}", ", ".join(str(choice) for choice in option.choices))
    if option.aliases:
        text += gettext("; also: {0}", ", ".join(f"--{alias}" for alias in option.aliases))
    indent = min(28, width // 3)
    first = f"  --{option.name}"
    if len(first) + 1 > indent:
        head, start = [first], " " * indent
    else:
        head, start = [], first.ljust(indent)
    rest = " " * indent
    return head + wrapped(text, width, start, rest)
