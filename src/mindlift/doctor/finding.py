"""One line of the doctor's report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from mindlift import files
from mindlift.columns import columns
from mindlift.language import N_, gettext, localized

OK, WARNING, PROBLEM = N_("ok"), N_("warning"), N_("problem")  # a problem: this machine can't train as it is
COLOURS = {OK: "32", WARNING: "33", PROBLEM: "31"}
INDENT = 9


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and, unless it is well, what to do."""

    name: str
    level: str
    says: str
    advice: str = ""


def graded(name: str, is_well: bool, says: str, advice: str, otherwise: str = WARNING) -> Finding:
    """`advice` is given only where it is needed."""
    return Finding(name, OK, says) if is_well else Finding(name, otherwise, says, advice)


def as_text(found: Iterable[Finding], is_coloured: bool) -> str:
    lines = []
    for item in found:
        level = gettext(item.level)
        mark = f"\033[{COLOURS[item.level]}m{level}\033[0m" if is_coloured else level
        lines.append(f"{mark}{' ' * (INDENT - columns(level))}{item.name}: {localized(item.says)}")
        lines += [f"{' ' * INDENT}-> {localized(item.advice)}"] if item.advice else []
    return "\n".join(lines)


def shown(path: str | os.PathLike[str]) -> str:
    """A path without the name of who pastes it."""
    text, home = os.fspath(path), files.home()
    return "~" + text[len(home) :] if text == home or (text.startswith(home + "/") and home != "/") else text
