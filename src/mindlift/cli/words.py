"""The command line of a program, read in UTF-8."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mindlift import language

UTF8_MODE = "PYTHONUTF8"


def words(argv: Sequence[str] | None) -> list[str]:
    """`argv`, or what this process was started with, if need be after starting it again in UTF-8 mode.

    In a locale of ASCII only, Python gives the bytes of file names no letters, so that a name read from a list or a
    configuration, which are UTF-8, would mean another file than the same name read from a folder.
    """
    if argv is not None:
        return list(argv)
    if is_ascii() and os.environ.get(UTF8_MODE) != "1":
        os.environ[UTF8_MODE] = "1"  # for the processes that this one starts as well
        command = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
        sys.stdout.flush()
        os.execv(sys.executable, command)
    tell_unknown_language()
    return sys.argv[1:]


def tell_unknown_language() -> None:
    asked = language.unknown()
    if asked:
        print(
            f"warning: {language.VARIABLE} is {asked!r}, but must be zh or en; this is English",
            file=sys.stderr,
        )
        os.environ[language.VARIABLE] = (
            language.ENGLISH
        )  # the processes that this one starts do not say it again


def is_ascii() -> bool:
    return codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
