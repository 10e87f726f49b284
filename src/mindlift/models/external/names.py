"""Networks of other packages by their names, found without importing MindSpore or the packages.

| --net | what it is |
|---|---|
| mindcv:resnet18 | a network of mindcv |
| package.module:function | a cell that a function, or a class, of any package makes |
| NAME | of a family that another package announces as an entry point of the group mindlift.families |
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from pathlib import Path

from mindlift.backports import entry_points
from mindlift.errors import ConfigError

MINDCV = "mindcv"
GROUP = "mindlift.families"
MARK = ":"
REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
WEIGHTS = re.compile(r"""["'](\w+)["']: _cfg\(\s*url=\s*["'](https://[^"'\s]+\.ckpt)["']""")
HOW_TO_NAME = "mindcv:NAME or package.module:function"


def is_external(net: str) -> bool:
    """Whether `net` names a network of another package by where it is."""
    return MARK in net


def parts(net: str) -> tuple[str, str]:
    """(package or module, name in it) of an external network; ConfigError for anything else."""
    module, _, name = net.partition(MARK)
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise ConfigError(f"--net {net} is no name of a network; write {HOW_TO_NAME}")
    return module, name


def check(net: str) -> None:
    """ConfigError for an external network whose package is not installed, or that mindcv has not."""
    if not is_external(net):
        return
    module, name = parts(net)
    if not is_installed(module):
        raise ConfigError(not_installed(net, module))
    if module == MINDCV and name not in of_mindcv():
        raise ConfigError(f"--net {net}: mindcv {near(name)}")


def near(name: str) -> str:
    """That mindcv has no such network, and which of its names are like it."""
    known = of_mindcv()
    stem = re.split(r"[_\d]", name, maxsplit=1)[0].lower()
    same = [each for each in known if stem and each.lower().startswith(stem)] or known
    more = ", ..." if len(same) > 8 else ""
    return f"has no network '{name}'; it has {', '.join(same[:8])}{more}"


def not_installed(net: str, module: str) -> str:
    if module == MINDCV:
        return f"--net {net}: mindcv is not installed; run: pip install mindcv"
    package = module.partition(".")[0]
    lack = package if not is_installed(package) else module
    return (
        f"--net {net}: there is no module {lack}; run: pip install {package} (or start where {package} can be imported"
        f" from: {Path.cwd()} is looked at too)"
    )


def is_installed(module: str) -> bool:
    """Whether there is such a module, in the working directory too."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # of the package around it
        return False


@functools.lru_cache(maxsize=1)
def of_mindcv() -> list[str]:
    """All networks that mindcv registers, read from its source; importing it takes MindSpore and seconds."""
    return [name for text in sources_of_mindcv() for name in REGISTERED.findall(text)]


@functools.lru_cache(maxsize=1)
def urls_of_mindcv() -> dict[str, str]:
    """Where mindcv, if it is installed, says that the weights of its networks are."""
    known = set(of_mindcv())
    found = dict(pair for text in sources_of_mindcv() for pair in WEIGHTS.findall(text))
    return {name: url for name, url in found.items() if name in known}


def sources_of_mindcv() -> list[str]:
    spec = importlib.util.find_spec(MINDCV)
    if spec is None or not spec.submodule_search_locations:
        return []
    files = sorted(Path(next(iter(spec.submodule_search_locations)), "models").glob("*.py"))
    return [file.read_text(encoding="utf-8") for file in files]


@functools.lru_cache(maxsize=1)
def announced() -> dict[str, str]:
    """Family -> the package that has its network.py, weights.py and recipes, of the packages that announce some."""
    return dict(sorted(entry_points(GROUP).items()))


def folder_of(family: str) -> Path:
    """Where an announced family is; ConfigError if it is not there."""
    package = announced()[family]
    spec = importlib.util.find_spec(package) if is_installed(package) else None
    places = [Path(place) for place in (spec.submodule_search_locations or ()) if spec] if spec else []
    if not places or not (places[0] / "network.py").is_file():
        raise ConfigError(
            f"the family '{family}' (entry point of {GROUP}) is {package}, which is no package with a network.py;"
            " update or remove the distribution that announces it"
        )
    return places[0]
