"""What one may type when a program has ended: on stderr, where no reader of results looks. Standard library only."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from mindlift.columns import columns
from mindlift.language import gettext


def following(*commands: Sequence[object]) -> None:
    """Commands as lists of words, the likeliest first."""
    lines = [" ".join(shlex.quote(str(word)) for word in words) for words in commands]
    sys.stdout.flush()
    head = gettext("next: {0}", "")
    print(head + f"\n{' ' * columns(head)}".join(lines), file=sys.stderr, flush=True)
