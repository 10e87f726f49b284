"""argparse in the language of the reader: its own words, and the help of those who use it. Standard library only."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from mindlift.columns import wrapped
from mindlift.language import N_, gettext, localized
from mindlift.sanitize import error

# argparse's own words; the frames of its errors are in language.py.
HEADINGS = (N_("options"), N_("optional arguments"), N_("positional arguments"))
HELP = (N_("show this help message and exit"), N_("show program's version number and exit"))


class InLanguage(str):
    """A text that is in the language already."""


class HelpFormatter(argparse.HelpFormatter):
    """Wraps by the columns of letters."""

    def start_section(self, heading: str | None) -> None:
        super().start_section(gettext(heading) if heading else heading)

    def add_usage(self, usage: str | None, actions, groups, prefix: str | None = None) -> None:  # type: ignore[no-untyped-def]
        super().add_usage(usage, actions, groups, gettext("usage: {0}", "") if prefix is None else prefix)

    def _expand_help(self, action: argparse.Action) -> str:
        return localized(super()._expand_help(action))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        text = " ".join(text.split())
        return "\n".join(wrapped(localized(text), width, indent, indent))


class RawHelpFormatter(HelpFormatter):
    """Leaves the lines of descriptions and epilogs as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        found = text if isinstance(text, InLanguage) else localized(text)
        return "".join(indent + line for line in found.splitlines(keepends=True))


class ArgumentParser(argparse.ArgumentParser):
    """Mistakes are one line behind the usage, exit code 2."""

    def __init__(self, *, is_raw: bool = False, **given):  # type: ignore[no-untyped-def]
        super().__init__(formatter_class=RawHelpFormatter if is_raw else HelpFormatter, **given)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {localized(f'error: {error(message)}')}\n")
