"""What runs are called: by the values of the options in which they differ. Folders keep their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mindlift.language import gettext
from mindlift.model_utils.config import declared
from mindlift.report import changes
from mindlift.runs.folder import RunData

MOST = 4  # options in a name
LONGEST = 28  # letters of a value
TASK = ("net", "dataset")
LAST = "seed"  # tells least


def give(runs: Sequence[RunData]) -> None:
    """Set the titles of the runs to names that tell them apart."""
    folders = folder_names([run.root for run in runs])
    for run, name in zip(runs, names(runs, folders)):
        run.title = name


def names(runs: Sequence[RunData], folders: Sequence[str]) -> list[str]:
    """Of one run what it trains and what it changed; of several what tells them apart. Else the folder's name."""
    telling = options_of([run for run in runs if run.options])
    shows_ranks = len({run.ranks for run in runs if run.options}) > 1
    found = [name_of(run, telling, shows_ranks) for run in runs]
    if not any(found):
        found = [name_of(run, TASK) for run in runs]
    count = Counter(found)
    return [
        name if name and count[name] == 1 else f"{name}, {folder}" if name else folder
        for name, folder in zip(found, folders)
    ]


def options_of(runs: Sequence[RunData]) -> list[str]:
    """The options that names have: those somebody asked for, else those of recipes; places and the like tell little."""
    schema = declared.own_schema().options
    if not runs:
        return []
    if len(runs) == 1:
        about = changes.known(runs[0])
        own = [change.name for change in changes.changes(runs[0], about) if changes.is_own(change)]
        return [*TASK, *(name for name in schema if name in own and is_telling(name))]
    differing = {name for name, _ in changes.differing(runs)}
    names = [name for name in (*TASK, *schema) if name in differing and is_telling(name)]
    asked = {name for run in runs for name, by in run.origins.items() if by in changes.ASKED}
    chosen = [name for name in dict.fromkeys(names) if name in asked or name in TASK]
    return chosen or list(dict.fromkeys(names))


def is_telling(name: str) -> bool:
    option = declared.own_schema().options[name]
    return not (option.place or option.free or option.platform)


def name_of(run: RunData, telling: Sequence[str], shows_ranks: bool = False) -> str:
    """`net on dataset, option value`; '' where the options are not known."""
    known = [name for name in dict.fromkeys(telling) if name in run.options]
    task = [value(run, name) for name in TASK if name in known]
    rest = sorted((name for name in known if name not in TASK), key=LAST.__eq__)
    if len(rest) > MOST:  # what this run itself asked for comes first
        rest.sort(key=lambda name: run.origins.get(name) not in changes.ASKED)
    parts = [
        gettext("{0} on {1}", task[0], task[1]) if len(task) > 1 else "".join(task),
        *(f"{name} {value(run, name)}" for name in rest[:MOST]),
    ]
    if shows_ranks and run.options:
        parts.append(gettext("{0} ranks", run.ranks) if run.ranks > 1 else gettext("{0} rank", run.ranks))
    return ", ".join(filter(None, parts))


def value(run: RunData, name: str) -> str:
    """As the command line takes it; of a path its end."""
    found = changes.as_argument(run.options[name]).rstrip("/").rpartition("/")[2]
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def folder_names(roots: Sequence[Path]) -> list[str]:
    """Folder names, with as much of the path before them as tells the runs apart."""
    parts = [Path(root).absolute().parts for root in roots]
    found: list[str] = []
    for depth in range(1, max(map(len, parts), default=0) + 1):
        found = ["/".join(each[-depth:]) for each in parts]
        if len(set(found)) == len(set(parts)):
            break
    return [name if found.count(name) == 1 else f"{name} ({at})" for at, name in enumerate(found, 1)]
