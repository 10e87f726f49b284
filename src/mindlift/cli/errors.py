"""Errors of a command as one line and an exit code: 2 for the user's mistakes, 1 for failures."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable

from mindlift import interrupts, sanitize
from mindlift.errors import MindLiftError
from mindlift.language import localized
from mindlift.refused_paths import naming_refused_paths


def one_line_errors(body: Callable[[], int], debug: bool) -> int:
    """The code of `body`; of an expected error its own, and 130 for Ctrl-C."""
    try:
        with naming_refused_paths():
            return body()
    except MindLiftError as err:
        if debug:
            traceback.print_exc()
        print(localized(f"error: {sanitize.error(err)}"), file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt as err:
        print(localized(f"error: {interrupts.described(err)}"), file=sys.stderr)
        return interrupts.exit_code(err)
    except ModuleNotFoundError as err:
        if debug or not missing_package(err):
            raise
        print(localized(f"error: {missing_package(err)}"), file=sys.stderr)
        return 1
    except BrokenPipeError:  # `submit.py list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def missing_package(err: ImportError) -> str:
    """What an installation lacks, as one line; '' if the error is no missing package of others."""
    name = (err.name or "").partition(".")[0]
    if not name or name == "mindlift" or importlib.util.find_spec(name):
        return ""
    install = "mindspore==2.8.0" if name == "mindspore" else name
    return f"the package {name} is not installed: pip install {install}; `mindlift doctor --quick` lists what is missing"
