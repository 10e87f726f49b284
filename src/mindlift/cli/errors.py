"""Errors of a command as one line and an exit code: 2 for the user's mistakes, 1 for failures."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from mindlift.errors import MindLiftError


def one_line_errors(body: Callable[[], int], debug: bool) -> int:
    """The code of `body`; of an expected error its own, and 130 for Ctrl-C."""
    try:
        return body()
    except MindLiftError as err:
        if debug:
            traceback.print_exc()
        print(f"error: {' '.join(str(err).split())}", file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `submit.py list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
