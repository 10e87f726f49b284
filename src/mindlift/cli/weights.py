"""Published weights by name: mindlift weights, mindlift weights 'timm:res*', mindlift weights get timm:resnet50.a1_in1k"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.columns import cut
from mindlift.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from mindlift.models.weights.published import Published


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="mindlift weights",
        description="List the weights that --pretrained takes by name, and which of them are on this machine; or fetch"
        " some. hf:owner/name is any repository of a Hugging Face hub (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE).",
    )
    found.add_argument(
        "words",
        nargs="*",
        metavar="get NAME... | PATTERN",
        help="get and names to fetch; or which names to list, such as 'timm:res*'",
    )
    found.add_argument(
        "--cache_path", default="", metavar="FOLDER", help="the cache; not set: as for --pretrained"
    )
    found.add_argument("--debug", action="store_true", help="show tracebacks")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    from mindlift.cli import program
    from mindlift.model_utils.staging.cache_place import cache_folder

    args = parser().parse_args(argv)

    def run() -> None:
        cache = cache_folder(args.cache_path)
        if args.words[:1] == ["get"]:
            fetch(args.words[1:], cache)
        elif len(args.words) > 1:
            raise ConfigError(
                f"{' '.join(args.words)}: expected `get NAME...`, or one pattern of names to list"
            )
        else:
            print(*rows(args.words[0] if args.words else "*", cache), sep="\n")

    return program.main(run, args.debug)


def fetch(wanted: Sequence[str], cache: Path) -> None:
    from mindlift.model_utils.hub import fetch as hub
    from mindlift.models.weights import published

    if not wanted:
        raise ConfigError("mindlift weights get: name what to fetch; `mindlift weights` lists all")
    for name in wanted:
        if not published.is_named(name):
            raise ConfigError(
                f"{name} is no name of weights; they begin with {', '.join(f'{each}:' for each in published.SOURCES)}"
            )
        published.lookup(name)
    for name in wanted:
        print(hub.get(name, cache, lambda line: print(line, file=sys.stderr, flush=True)))


def rows(pattern: str, cache: Path) -> Iterator[str]:
    """A table of names, networks, options and what is here; then what it does not say."""
    from mindlift.model_utils.hub import fetch as hub
    from mindlift.models.weights import published

    known = [*published.table().values(), *in_cache(cache)]
    chosen = [each for each in known if fnmatch.fnmatchcase(each.name, pattern)]
    if not chosen:
        raise ConfigError(f"no name of weights is like {pattern}; `mindlift weights` lists all")
    cells = [("name", "needs", "here", "--net")]
    for each in chosen:
        said: list[str] = []
        try:
            here = hub.find(each, cache, said.append)
            state = f"{here.path} ({here.checked})" if here else "; ".join(said) or "-"
        except CheckpointError as err:
            state = str(err)
        cells.append((each.name, each.options or "-", state, " ".join(each.nets) or "by its tensors"))
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    screen = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for *row, nets in cells:
        line = "  ".join([*(text.ljust(width) for text, width in zip(row, widths)), nets])
        yield line if not screen or len(line) <= screen else f"{cut(line, screen - 1)}…"
    yield f"cache: {cache / 'weights'}"


def in_cache(cache: Path) -> Iterator[Published]:
    """What is in the cache and in no table: repositories of hubs, and networks of mindcv."""
    from mindlift.models.weights import published

    known = published.table()
    for source in ("hf", "mindcv"):
        root = cache / "weights" / source
        for folder, _, files in sorted(os.walk(root)):
            name = f"{source}:{Path(folder).relative_to(root)}"
            has_weights = any(file in published.HUB_FILES or file.endswith(".ckpt") for file in files)
            if not has_weights or name in known:
                continue
            try:
                yield published.lookup(name)
            except ConfigError:  # somebody's own folder
                continue
