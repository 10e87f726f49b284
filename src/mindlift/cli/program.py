"""From what a command does to its exit code: an expected error is one line."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from mindlift import interrupts, sanitize
from mindlift.cli.errors import missing_package
from mindlift.errors import MindLiftError
from mindlift.interrupts import CtrlC, SecondInterrupt
from mindlift.language import localized
from mindlift.refused_paths import naming_refused_paths

READER_GONE = 128 + 13  # what a shell says of a program that SIGPIPE ended


def main(body: Callable[[], None], debug: bool) -> int:
    """Run `body`; an expected error becomes one line on stderr and its exit code."""
    show_any_name()
    atexit.register(gc.freeze)  # a process that ends need not search MindSpore for unreachable objects
    try:
        with CtrlC(), SecondInterrupt(), naming_refused_paths():
            body()
        return 0
    except MindLiftError as err:
        if debug:
            traceback.print_exc()
        print(localized(f"error: {sanitize.error(err)}"), file=sys.stderr)
        return err.exit_code
    except BrokenPipeError:  # of stdout, as in `predict.py ... | head`; the storage layer translates its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return READER_GONE
    except (KeyboardInterrupt, ImportError) as err:
        # while a C extension is being imported, Ctrl-C surfaces as the cause of an ImportError
        signalled = err if isinstance(err, KeyboardInterrupt) else err.__cause__
        if not isinstance(signalled, KeyboardInterrupt):
            if debug or not isinstance(err, ImportError) or not missing_package(err):
                raise
            print(localized(f"error: {missing_package(err)}"), file=sys.stderr)
            return 1
        print(localized(f"error: {interrupts.described(signalled)}"), file=sys.stderr)
        return interrupts.exit_code(signalled)


def show_any_name() -> None:
    """Names of files that are not UTF-8, or that the locale has no letters for, are printed with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # pytest's and others' are not
            stream.reconfigure(errors="backslashreplace")


def wants_debug(arguments: Sequence[str]) -> bool:
    """Whether tracebacks are wanted, also when the command line can't be read."""
    return any(
        argument.split("=")[0] in ("--debug", "debug") and not argument.lower().endswith("false")
        for argument in arguments
    )
